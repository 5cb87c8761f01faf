//! What the kernel's completions mean for connections and listeners. Knows results and errno
//! values; what follows from them is submitted by the shard.

use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use io_uring::cqueue;
use socket2::Socket;

use crate::io::buf::BufferId;
use crate::io::driver::{Completion, ConnError, ConnKey, ListenerKey};
use crate::io::slots::Key;
use crate::io::uring::conn::{Arrival, Conn, Phase, Receive, Sending};
use crate::io::uring::operation::Operation;
use crate::io::uring::{Accepting, InFlight, Listener, UringShard};
use crate::limits::ACCEPT_RETRY_MS;

impl UringShard {
    pub(super) fn on_completion(&mut self, entry: &cqueue::Entry) {
        match Operation::from_token(entry.user_data()) {
            Some(Operation::Accept(key)) => self.on_accept(key, entry),
            Some(Operation::Connect(key)) => self.on_connect(key, entry.result()),
            Some(Operation::Receive(key)) => self.on_receive(key, entry),
            Some(Operation::Send(key)) => self.on_send(key, entry.result()),
            Some(Operation::Wake) => {
                self.waking = InFlight::No;
                if entry.result() > 0 {
                    self.waker.rearm();
                    self.ready.push(Completion::Woken);
                }
            }
            Some(Operation::Cancel) | None => {}
        }
    }

    fn on_accept(&mut self, key: Key, entry: &cqueue::Entry) {
        let mut outcome = Ok(());
        if let Ok(raw) = u32::try_from(entry.result()) {
            // SAFETY: the kernel installed this descriptor for this completion alone.
            let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(raw.cast_signed()) });
            outcome = self.accepted(key, socket);
        }
        if cqueue::more(entry.flags()) {
            if let Err(error) = outcome {
                self.ready.push(Completion::AcceptFailed { listener: ListenerKey(key), error });
            }
            return;
        }
        let Some(listener) = self.listeners.at_mut(key) else { return };
        if listener.accepting == Accepting::Stopping {
            self.listeners.remove(key);
            return;
        }
        if entry.result() < 0 {
            outcome = Err(ConnError::from_errno(-entry.result()));
        }
        match outcome {
            Err(error) if error.is_shortage() => {
                listener.accepting = Accepting::Paused;
                self.accept_retry = Some(Instant::now() + Duration::from_millis(ACCEPT_RETRY_MS));
                self.ready.push(Completion::AcceptFailed { listener: ListenerKey(key), error });
            }
            // Anything else concerns the one connection that could not be taken.
            Ok(()) | Err(_) => self.arm_accept(key),
        }
    }

    /// A peer that cannot be given a slot is let go at once; the error says why.
    fn accepted(&mut self, listener: Key, socket: Socket) -> Result<(), ConnError> {
        let stopping = |held: &Listener| held.accepting == Accepting::Stopping;
        if self.listeners.at(listener).is_none_or(stopping) {
            return Ok(());
        }
        let peer = socket.peer_addr().map_err(|error| ConnError::from_io(&error))?;
        let Some(peer) = peer.as_socket() else { return Err(ConnError::Os { errno: 0 }) };
        let key = self.conns.insert(Conn::new(socket)).ok_or(ConnError::Exhausted)?;
        let listener = ListenerKey(listener);
        self.ready.push(Completion::Accepted { listener, conn: ConnKey(key), peer });
        Ok(())
    }

    fn on_connect(&mut self, key: Key, result: i32) {
        let Some(conn) = self.settle(key) else { return };
        conn.target = None;
        if result < 0 {
            return self.fail(key, ConnError::from_errno(-result));
        }
        conn.phase = Phase::Open;
        let early = conn.receive == Receive::Early;
        self.ready.push(Completion::Connected { conn: ConnKey(key) });
        if early {
            self.arm_receive(key);
        }
        self.list(key);
    }

    fn on_receive(&mut self, key: Key, entry: &cqueue::Entry) {
        // Taken back first, whatever became of the connection: dropping it makes it spare.
        let buffer = cqueue::buffer_select(entry.flags());
        let chunk = buffer.and_then(|id| self.pool.reclaim(BufferId(id)));
        let Some(conn) = self.settle(key) else { return };
        if conn.phase == Phase::Failed {
            return;
        }
        conn.receive = Receive::Idle;
        let conn_key = ConnKey(key);
        match (usize::try_from(entry.result()), chunk) {
            (Ok(0), _) => {
                conn.receive = Receive::Ended;
                self.ready.push(Completion::Eof { conn: conn_key });
            }
            (Ok(bytes), Some(chunk)) => {
                conn.arrival = if cqueue::sock_nonempty(entry.flags()) {
                    Arrival::Perhaps
                } else {
                    Arrival::Later
                };
                let chunk = chunk.freeze(bytes);
                self.ready.push(Completion::Received { conn: conn_key, chunk });
            }
            // Bytes without a buffer of ours: they are lost, and so is the connection.
            (Ok(_), None) => self.fail(key, ConnError::Os { errno: libc::EIO }),
            (Err(_), _) => match -entry.result() {
                libc::ENOBUFS => {
                    conn.receive = Receive::Parked;
                    conn.arrival = Arrival::Perhaps;
                    self.parked.push_back(key);
                    self.lending.ran_dry();
                }
                libc::EINTR | libc::EAGAIN => self.arm_receive(key),
                errno => self.fail(key, ConnError::from_errno(errno)),
            },
        }
    }

    fn on_send(&mut self, key: Key, result: i32) {
        if let Some(conn) = self.conns.at_mut(key) {
            conn.sending = Sending::Ready;
        }
        let Some(conn) = self.settle(key) else { return };
        if conn.phase == Phase::Failed {
            return conn.outbox.clear();
        }
        match usize::try_from(result) {
            Ok(bytes) => {
                conn.outbox.advance(bytes);
                self.ready.push(Completion::Sent { conn: ConnKey(key), bytes });
                self.list(key);
            }
            Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => self.list(key),
            Err(_) => self.fail(key, ConnError::from_errno(-result)),
        }
    }

    /// One operation less in flight. `None` if the connection is closing, and gone if it was the
    /// last.
    fn settle(&mut self, key: Key) -> Option<&mut Conn> {
        let conn = self.conns.at_mut(key)?;
        assert!(conn.outstanding > 0);
        conn.outstanding -= 1;
        if conn.phase == Phase::Closing {
            if conn.outstanding == 0 {
                self.free(key);
            }
            return None;
        }
        self.conns.at_mut(key)
    }

    pub(super) fn free(&mut self, key: Key) {
        self.conns.remove(key);
        self.ready.push(Completion::Closed { conn: ConnKey(key) });
        if self.accept_retry.is_some() {
            self.resume_accepting();
        }
    }

    pub(super) fn fail(&mut self, key: Key, error: ConnError) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        if matches!(conn.phase, Phase::Failed | Phase::Closing) {
            return;
        }
        conn.phase = Phase::Failed;
        if conn.receive != Receive::InFlight {
            conn.receive = Receive::Ended;
        }
        if conn.sending == Sending::Ready {
            conn.outbox.clear();
        }
        self.ready.push(Completion::Failed { conn: ConnKey(key), error });
    }

    pub(super) fn resume_accepting(&mut self) {
        self.accept_retry = None;
        let paused = |listener: &Listener| listener.accepting == Accepting::Paused;
        let keys: Vec<Key> = self
            .listeners
            .values_mut()
            .filter_map(|(key, listener)| paused(listener).then_some(key))
            .collect();
        for key in keys {
            self.arm_accept(key);
        }
    }
}
