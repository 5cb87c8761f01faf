//! New connections: where they live, and what they are born with.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use crate::io::{ConnKey, Driver, ListenerKey};
use crate::model::session::Leg;
use crate::session::Session;
use crate::wire::Setting;
use crate::worker::mailbox::Message;
use crate::worker::slots::Slot;
use crate::worker::snapshot::Snapshot;
use crate::worker::socket::Socket;
use crate::worker::{Worker, report};

impl Worker {
    pub(super) fn listen(&mut self, listeners: Vec<TcpListener>) {
        for listener in listeners {
            let Ok(bind) = listener.local_addr() else { continue };
            match self.shard.listen(listener) {
                Ok(key) => self.listeners.push((key, bind)),
                Err(error) => tracing::error!(%bind, %error, "the listener could not be served"),
            }
        }
    }

    /// A connection came in: it lives here, or it moves to a worker with less to do.
    pub(super) fn on_accepted(&mut self, listener: ListenerKey, conn: ConnKey, peer: SocketAddr) {
        let bind = self.listeners.iter().find(|(key, _)| *key == listener).map(|(_, bind)| *bind);
        let Some(bind) = bind else {
            self.shard.close(conn);
            return;
        };
        let place = self.shared.place();
        let Some(mailbox) = self.peers.get(place).filter(|_| place != usize::from(self.id)) else {
            self.settle_in(conn, peer, bind);
            return;
        };
        match self.shard.release(conn) {
            Some(stream) => {
                if mailbox.put(Message::Adopt { stream, peer, bind }).is_err() {
                    tracing::warn!(%peer, "a connection was dropped: the worker is overrun");
                }
            }
            None => self.settle_in(conn, peer, bind),
        }
    }

    pub(super) fn adopt(&mut self, stream: TcpStream, peer: SocketAddr, bind: SocketAddr) {
        match self.shard.adopt(stream) {
            Ok(conn) => self.settle_in(conn, peer, bind),
            Err(error) => tracing::warn!(%peer, %error, "a connection could not be adopted"),
        }
    }

    fn settle_in(&mut self, conn: ConnKey, peer: SocketAddr, bind: SocketAddr) {
        let door = self.snapshot.door(bind);
        let Some(door) = door.filter(|_| !self.draining && !self.slots.is_full()) else {
            self.shard.close(conn);
            return;
        };
        let Some(cancel_seed) = report::random_seed() else {
            self.shard.close(conn);
            return;
        };
        let setting = Setting { downstream_tls: door.tls.is_some(), cancel_seed };
        let session = Session::accepted(door.protocol, setting, peer, self.now);
        let mut slot = Slot::new(session);
        slot.downstream = Some(Socket::new(conn));
        slot.door = Some(door);
        let Some(at) = self.slots.insert(slot) else {
            self.shard.close(conn);
            return;
        };
        self.slots.bind(conn, at, Leg::Downstream);
        self.shared.load_up(self.id);
        self.counters.sessions_opened += 1;
        self.watch(at);
        self.touch(at);
    }

    /// New tables: live sessions go on under the new policy, or end if they are no longer
    /// admitted.
    pub(super) fn apply(&mut self, snapshot: Arc<Snapshot>, mut listeners: Vec<TcpListener>) {
        self.snapshot = snapshot;
        let binds: Vec<SocketAddr> = self.snapshot.binds().collect();
        let kept = std::mem::take(&mut self.listeners);
        for (key, bind) in kept {
            if binds.contains(&bind) {
                self.listeners.push((key, bind));
            } else {
                self.shard.stop_listening(key);
            }
        }
        listeners.retain(|listener| listener.local_addr().is_ok_and(|bind| binds.contains(&bind)));
        self.listen(listeners);
        for at in self.slots.addresses() {
            self.reconsider(at);
        }
    }
}
