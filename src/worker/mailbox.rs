//! How the rest of the process speaks to a worker, and a worker to the rest.
//!
//! Every queue is bounded. A worker never waits for its own requests to be taken.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::io::Waker;
use crate::limits;
use crate::model::session::KillScope;
use crate::model::target::{Connection, DialError, Dialled, Target};
use crate::observe::metrics::WorkerReport;
use crate::worker::snapshot::Snapshot;

/// A session's place: which worker, which slot, and which of the sessions that lived there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub worker: u16,
    pub slot: u32,
    pub generation: u32,
}

/// What a worker is told.
pub enum Message {
    /// A connection that another worker accepted.
    Adopt {
        stream: TcpStream,
        peer: SocketAddr,
        bind: SocketAddr,
    },
    Dialled {
        to: Address,
        result: Result<Dialled, DialError>,
    },
    Cancel {
        to: Address,
    },
    /// New tables; `listeners` are to be accepted on from now on, those not named by the snapshot
    /// are closed.
    Apply {
        snapshot: Arc<Snapshot>,
        listeners: Vec<TcpListener>,
    },
    /// Some issuer's keys were refreshed: logins that waited for an unknown key try again.
    KeysRefreshed,
    Kill {
        scope: KillScope,
        reply: oneshot::Sender<u64>,
    },
    Report {
        reply: oneshot::Sender<WorkerReport>,
    },
    /// Accept nothing more; end sessions as they fall idle.
    Drain,
    /// End all sessions now, then the thread.
    Stop,
}

/// What a worker asks of `control`: names to be resolved, a secret to be leased.
pub struct DialRequest {
    pub from: Address,
    pub target: Arc<Target>,
    /// `None` for an errand, which logs in nowhere.
    pub connection: Option<Arc<Connection>>,
}

/// The sending end of a worker's mailbox.
#[derive(Clone)]
pub struct Mailbox {
    sender: SyncSender<Message>,
    waker: Waker,
}

impl Mailbox {
    #[must_use]
    pub fn new(waker: Waker) -> (Self, Receiver<Message>) {
        let (sender, receiver) = sync_channel(limits::MAILBOX_MESSAGES_MAX);
        (Self { sender, waker }, receiver)
    }

    /// Puts a message in and wakes the worker. Gives the message back if the box is full or the
    /// worker is gone.
    pub fn put(&self, message: Message) -> Result<(), Box<Message>> {
        match self.sender.try_send(message) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                Err(Box::new(message))
            }
        }
    }

    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
