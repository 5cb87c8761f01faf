//! How the rest of the process speaks to a worker, and a worker to the rest.
//!
//! Every queue is bounded. A worker never waits for its own requests to be taken. What control
//! orders every worker to do has a place of its own beside the queue: it cannot be crowded out.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::io::Waker;
use crate::limits;
use crate::mask::catalogue::Cell;
use crate::model::approval::{ApprovalId, Decision, HoldRequest};
use crate::model::session::KillScope;
use crate::model::target::{Connection, DialError, Dialled, Target};
use crate::observe::metrics::WorkerReport;
use crate::session::Protected;
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
        /// Of the database, where columns of it are protected.
        catalogue: Option<Arc<Cell>>,
    },
    Cancel {
        to: Address,
    },
    Decided {
        to: Address,
        id: ApprovalId,
        decision: Decision,
    },
    Kill {
        scope: KillScope,
        reply: oneshot::Sender<u64>,
    },
    Report {
        reply: oneshot::Sender<WorkerReport>,
    },
}

/// What a worker must do, and does before it reads its messages. Never lost.
pub enum Order {
    /// New tables; `listeners` are to be accepted on from now on, those not named by the snapshot
    /// are closed. `applied` is told when sessions are judged by them.
    Apply { snapshot: Arc<Snapshot>, listeners: Vec<TcpListener>, applied: oneshot::Sender<()> },
    /// Some issuer's keys were refreshed: logins that waited for an unknown key try again.
    KeysRefreshed,
    /// Accept nothing more; end sessions as they fall idle.
    Drain,
    /// End all sessions now, then the thread.
    Stop,
}

/// The orders that a worker has not read yet. Of several snapshots the newest counts.
#[derive(Default)]
pub struct Standing {
    pub snapshot: Option<Arc<Snapshot>>,
    /// Of all snapshots since the last that was read; the newest may not name them all.
    pub listeners: Vec<TcpListener>,
    /// Whoever ordered the newest snapshot, or one that it stands for.
    pub applied: Vec<oneshot::Sender<()>>,
    pub keys_refreshed: bool,
    pub drain: bool,
    pub stop: bool,
}

#[derive(Default)]
struct Orders {
    /// Saves a worker the lock in the turns that bring no order, which are nearly all.
    waiting: AtomicBool,
    standing: Mutex<Standing>,
}

impl Orders {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker asks of `control`: names to be resolved, a secret to be leased.
pub struct DialRequest {
    pub from: Address,
    pub target: Arc<Target>,
    /// `None` for an errand, which logs in nowhere.
    pub connection: Option<Arc<Connection>>,
    pub protected: Option<Protected>,
}

/// What a worker tells whoever keeps requests for approval.
pub enum HoldMessage {
    /// A command waits; the answer goes to `from`.
    File { from: Address, request: Box<HoldRequest> },
    /// It waits no more: the bot took it back, or will come again.
    Leave { from: Address, id: ApprovalId, withdraw: bool },
    /// Its approval came too late for anybody to use it.
    Return { id: ApprovalId },
}

/// The sending end of a worker's mailbox.
#[derive(Clone)]
pub struct Mailbox {
    sender: SyncSender<Message>,
    orders: Arc<Orders>,
    waker: Waker,
}

/// The worker's end.
pub struct Inbox {
    receiver: Receiver<Message>,
    orders: Arc<Orders>,
}

impl Mailbox {
    #[must_use]
    pub fn new(waker: Waker) -> (Self, Inbox) {
        let (sender, receiver) = sync_channel(limits::MAILBOX_MESSAGES_MAX);
        let orders = Arc::new(Orders::default());
        let inbox = Inbox { receiver, orders: Arc::clone(&orders) };
        (Self { sender, orders, waker }, inbox)
    }

    /// Leaves an order and wakes the worker.
    pub fn order(&self, order: Order) {
        let mut standing = self.orders.standing();
        match order {
            Order::Apply { snapshot, listeners, applied } => {
                standing.snapshot = Some(snapshot);
                standing.listeners.extend(listeners);
                standing.applied.push(applied);
            }
            Order::KeysRefreshed => standing.keys_refreshed = true,
            Order::Drain => standing.drain = true,
            Order::Stop => standing.stop = true,
        }
        self.orders.waiting.store(true, Ordering::Release);
        drop(standing);
        self.waker.wake();
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

impl Inbox {
    /// The orders since the last call, if there are any.
    #[must_use]
    pub fn orders(&self) -> Option<Standing> {
        let waiting = self.orders.waiting.swap(false, Ordering::Acquire);
        waiting.then(|| std::mem::take(&mut *self.orders.standing()))
    }

    #[must_use]
    pub fn message(&self) -> Option<Message> {
        self.receiver.try_recv().ok()
    }
}
