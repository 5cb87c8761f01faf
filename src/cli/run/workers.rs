//! Starts the worker threads: each makes its own driver, since a ring belongs to its thread, and
//! begins to serve when all mailboxes are known.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::sync::mpsc::Sender;

use crate::cli::run::StartError;
use crate::io::{Driver, DriverError, DriverKind, Shard};
use crate::limits::CLASSIFIER_STACK_BYTES;
use crate::observe::log::chain;
use crate::observe::metrics;
use crate::observe::sink::EventQueue;
use crate::record::Recorder;
use crate::worker::mailbox::{DialRequest, HoldMessage, Mailbox};
use crate::worker::shared::Shared;
use crate::worker::snapshot::Snapshot;
use crate::worker::{Birth, Worker};

pub(super) struct Crew {
    pub(super) mailboxes: Arc<[Mailbox]>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

/// What all workers are born with.
pub(super) struct Outfit {
    pub(super) kind: DriverKind,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) recorder: Recorder,
    pub(super) events: EventQueue,
    pub(super) dials: Sender<DialRequest>,
    pub(super) holds: Sender<HoldMessage>,
    /// Told when a worker's thread ends.
    pub(super) lost: Arc<tokio::sync::Notify>,
}

/// What keeps a worker from starting.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("its thread could not be started")]
    Thread { source: std::io::Error },
    #[error("its thread ended")]
    Ended,
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error("its latency histogram could not be made")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// The last thing that a thread waits for before it serves.
struct Go {
    peers: Arc<[Mailbox]>,
    listeners: Vec<TcpListener>,
}

pub(super) fn start(
    count: u16,
    outfit: &Outfit,
    listeners: Vec<TcpListener>,
) -> Result<Crew, StartError> {
    let shared = Arc::new(Shared::new(usize::from(count)));
    let mut threads = Vec::new();
    let mut mailboxes = Vec::new();
    let mut waiting = Vec::new();
    for id in 0..count {
        let (ready, made) = sync_channel(1);
        let (go, start) = sync_channel(1);
        let seed = Seed {
            id,
            kind: outfit.kind,
            ready,
            start,
            shared: Arc::clone(&shared),
            snapshot: Arc::clone(&outfit.snapshot),
            recorder: outfit.recorder.clone(),
            events: outfit.events.clone(),
            dials: outfit.dials.clone(),
            holds: outfit.holds.clone(),
        };
        let failed = |source| StartError::Worker { worker: id, source };
        let lost = Arc::clone(&outfit.lost);
        let thread = std::thread::Builder::new()
            .name(format!("worker-{id}"))
            .stack_size(CLASSIFIER_STACK_BYTES)
            .spawn(move || {
                // A defect outside of any session ends the process: nobody can say what is left.
                let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| seed.live()));
                if lived.is_err() {
                    tracing::error!(worker = id, "the worker panicked");
                }
                lost.notify_one();
            })
            .map_err(|source| failed(WorkerError::Thread { source }))?;
        let mailbox = made.recv().map_err(|_| failed(WorkerError::Ended))?;
        mailboxes.push(mailbox.map_err(failed)?);
        threads.push(thread);
        waiting.push(go);
    }
    let mailboxes: Arc<[Mailbox]> = mailboxes.into();
    let mut listeners = Some(listeners);
    for go in waiting {
        let listeners = listeners.take().unwrap_or_default();
        // A thread that ended meanwhile is noticed by `lost`.
        let _heard = go.send(Go { peers: Arc::clone(&mailboxes), listeners });
    }
    Ok(Crew { mailboxes, threads })
}

struct Seed {
    id: u16,
    kind: DriverKind,
    ready: SyncSender<Result<Mailbox, WorkerError>>,
    start: Receiver<Go>,
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    recorder: Recorder,
    events: EventQueue,
    dials: Sender<DialRequest>,
    holds: Sender<HoldMessage>,
}

impl Seed {
    fn live(self) {
        pin(self.id);
        let (shard, latency) = match (Shard::open(self.kind), metrics::latency_histogram()) {
            (Ok(shard), Ok(latency)) => (shard, latency),
            (Err(error), _) => {
                let _told = self.ready.send(Err(error.into()));
                return;
            }
            (_, Err(error)) => {
                let _told = self.ready.send(Err(error.into()));
                return;
            }
        };
        let waker = shard.waker();
        let (mailbox, inbox) = Mailbox::new(waker.clone());
        let recorder = self.recorder.worker(self.id, Arc::new(move || waker.wake()));
        if self.ready.send(Ok(mailbox)).is_err() {
            return;
        }
        let Ok(go) = self.start.recv() else { return };
        let worker = Worker::new(Birth {
            id: self.id,
            shard,
            driver: match self.kind {
                DriverKind::Uring => "uring",
                DriverKind::Epoll => "epoll",
            },
            inbox,
            peers: go.peers,
            shared: self.shared,
            snapshot: self.snapshot,
            listeners: go.listeners,
            recorder,
            events: self.events,
            dials: self.dials,
            holds: self.holds,
            latency,
        });
        if let Err(error) = worker.run() {
            tracing::error!(worker = self.id, error = chain(&error), "worker failed");
        }
    }
}

/// One thread a core. Where the machine does not allow it, the scheduler places the thread.
fn pin(worker: u16) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    set.set(usize::from(worker) % cores);
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::warn!(worker, %error, "the worker is not pinned to a core");
    }
}
