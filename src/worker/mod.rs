//! A pinned thread: its driver, its sessions. Performs what sessions put out; a panic ends one
//! session. Knows no protocol and takes no decision of its own but where a connection lives.
//!
//! One turn of the loop: wait for completions, hand each to its session, perform the outputs, and
//! once at the end send, cut recordings and arm receives.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::Arc;

use hdrhistogram::Histogram;
use tokio::sync::mpsc::Sender;

use crate::io::buf::Chunk;
use crate::io::{Completion, ConnKey, Driver, DriverError, ListenerKey, Shard};
use crate::judge::Classifier;
use crate::model::approval::{ApprovalId, Decision};
use crate::model::event::AuditEvent;
use crate::model::session::CloseReason;
use crate::model::time::{NS_PER_S, Now, unix_ns};
use crate::observe::metrics::Counters;
use crate::observe::sink::EventQueue;
use crate::record::WorkerLink;
use crate::session::{Context, Input, Output};

mod accept;
mod admit;
pub mod mailbox;
mod perform;
mod report;
pub mod shared;
mod slots;
pub mod snapshot;
mod socket;
mod timers;
mod traffic;

#[cfg(test)]
mod tests;

use mailbox::{Address, DialRequest, HoldMessage, Inbox, Mailbox, Message, Standing};
use shared::{Business, Shared};
use slots::Slots;
use snapshot::Snapshot;
use timers::Timers;

/// Everything that a worker is born with.
pub struct Birth {
    pub id: u16,
    pub shard: Shard,
    pub driver: &'static str,
    pub inbox: Inbox,
    /// Mailboxes of all workers, by id; this one's included.
    pub peers: Arc<[Mailbox]>,
    pub shared: Arc<Shared>,
    pub snapshot: Arc<Snapshot>,
    /// Only the first worker accepts; it hands connections to the others.
    pub listeners: Vec<TcpListener>,
    pub recorder: WorkerLink,
    pub events: EventQueue,
    pub dials: Sender<DialRequest>,
    pub holds: Sender<HoldMessage>,
    /// Empty; allocated by whoever can report that it could not be.
    pub latency: Histogram<u64>,
}

pub struct Worker {
    id: u16,
    driver: &'static str,
    shard: Shard,
    inbox: Inbox,
    peers: Arc<[Mailbox]>,
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    listeners: Vec<(ListenerKey, std::net::SocketAddr)>,
    recorder: WorkerLink,
    events: EventQueue,
    dials: Sender<DialRequest>,
    holds: Sender<HoldMessage>,
    classifier: Classifier,
    slots: Slots,
    timers: Timers,
    /// Slots that something happened to since the last flush.
    touched: Vec<Address>,
    /// Taps with open runs, by when they are due.
    cuts: Timers,
    /// What `cut_recordings` works off; kept for its memory.
    ripe: Vec<Address>,
    /// Slots with bytes that wait for the recorder.
    awaiting: Vec<Address>,
    /// Connections whose session is gone and whose peer is still reading our last words.
    lingering: VecDeque<(u64, ConnKey)>,
    outputs: VecDeque<Output>,
    /// What one feed of TLS decrypts to; kept for its memory.
    plain: Vec<Chunk>,
    counters: Counters,
    latency: Histogram<u64>,
    now: Now,
    business: Business,
    draining: bool,
    /// Told to stop: when the thread ends, whoever still reads our last words.
    stop_ns: Option<u64>,
    #[cfg(debug_assertions)]
    fault_marker: Option<Vec<u8>>,
}

impl Worker {
    /// Must be called on the thread that will `run` it: a ring belongs to its thread.
    #[must_use]
    pub fn new(birth: Birth) -> Self {
        let mut worker = Self {
            id: birth.id,
            driver: birth.driver,
            shard: birth.shard,
            inbox: birth.inbox,
            peers: birth.peers,
            shared: birth.shared,
            snapshot: birth.snapshot,
            listeners: Vec::new(),
            recorder: birth.recorder,
            events: birth.events,
            dials: birth.dials,
            holds: birth.holds,
            classifier: Classifier::new(),
            slots: Slots::new(birth.id),
            timers: Timers::default(),
            touched: Vec::new(),
            cuts: Timers::default(),
            ripe: Vec::new(),
            awaiting: Vec::new(),
            lingering: VecDeque::new(),
            outputs: VecDeque::new(),
            plain: Vec::new(),
            counters: Counters::default(),
            latency: birth.latency,
            now: read_clocks(),
            business: Business::default(),
            draining: false,
            stop_ns: None,
            #[cfg(debug_assertions)]
            fault_marker: std::env::var_os("NARROWS_TEST_PANIC_ON")
                .map(std::ffi::OsString::into_encoded_bytes),
        };
        worker.listen(birth.listeners);
        worker
    }

    /// Serves until told to stop.
    pub fn run(mut self) -> Result<(), DriverError> {
        let mut completions = Vec::new();
        while !self.is_over() {
            self.turn(&mut completions)?;
        }
        Ok(())
    }

    /// Waits, and does all that there is to do. `completions` is empty before and after.
    fn turn(&mut self, completions: &mut Vec<Completion>) -> Result<(), DriverError> {
        let before_ns = monotonic_ns();
        self.shard.wait(self.next_wait_ns(before_ns), completions)?;
        self.now = read_clocks();
        self.business.waited(before_ns, self.now.mono_ns, &self.shared, self.id);
        for completion in completions.drain(..) {
            self.on_completion(completion);
        }
        self.read_mail();
        self.fire_timers();
        self.cut_recordings();
        self.flush();
        Ok(())
    }

    /// Told to stop, and every last word has been read or has had its time.
    fn is_over(&self) -> bool {
        self.stop_ns.is_some_and(|stop| self.shard.conn_count() == 0 || stop <= self.now.mono_ns)
    }

    fn next_wait_ns(&self, now_ns: u64) -> Option<u64> {
        let cut = self.cuts.next_ns();
        let linger = self.lingering.front().map(|(due, _)| *due);
        let timer = self.timers.next_ns();
        let due = [cut, linger, timer, self.stop_ns].into_iter().flatten().min()?;
        Some(due.saturating_sub(now_ns))
    }

    fn read_mail(&mut self) {
        if let Some(standing) = self.inbox.orders() {
            self.obey(standing);
        }
        while let Some(message) = self.inbox.message() {
            match message {
                Message::Adopt { stream, peer, bind } => self.adopt(stream, peer, bind),
                Message::Dialled { to, result, catalogue } => {
                    self.on_dialled(to, result, catalogue);
                }
                Message::Cancel { to } => self.drive(to, Input::CancelRequested),
                Message::Decided { to, id, decision } => self.on_decided(to, id, decision),
                Message::Kill { scope, reply } => {
                    let ended = self.kill(&scope);
                    // The operator may have hung up; the sessions are ended all the same.
                    let _nobody_listens = reply.send(ended);
                }
                Message::Report { reply } => {
                    let _nobody_listens = reply.send(self.report());
                }
            }
        }
    }

    fn obey(&mut self, standing: Standing) {
        if let Some(snapshot) = standing.snapshot {
            self.apply(snapshot, standing.listeners);
            for applied in standing.applied {
                // Who waited for it may have given up.
                let _nobody_listens = applied.send(());
            }
        }
        if standing.keys_refreshed {
            self.retry_unverified();
        }
        if standing.drain {
            self.drain();
        }
        if standing.stop {
            self.stop();
        }
    }

    /// A session that is gone has no use for an approval.
    fn on_decided(&mut self, to: Address, id: ApprovalId, decision: Decision) {
        let is_there = self.slots.get_mut(to).is_some_and(|slot| slot.closing.is_none());
        if let Decision::Approved { number, .. } = decision
            && !is_there
        {
            return self.return_approval(number);
        }
        self.drive(to, Input::Decided { id, decision });
    }

    /// Gives one input to the session at `at` and performs what comes out. A panic in the session
    /// ends that session alone.
    fn drive(&mut self, at: Address, input: Input) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.closing.is_some() {
            return;
        }
        let mut cx = Context {
            now: self.now,
            classifier: &mut self.classifier,
            recorder: &self.recorder,
            outputs: &mut self.outputs,
        };
        let session = &mut slot.session;
        #[cfg(debug_assertions)]
        let marker = self.fault_marker.as_deref();
        let handled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            #[cfg(debug_assertions)]
            inject_fault(marker, &input);
            session.handle(input, &mut cx);
        }));
        self.touch(at);
        match handled {
            Ok(()) => self.perform(at),
            Err(_panic) => self.bury(at),
        }
    }

    /// A session panicked: what it put out before is not trusted, its connections are closed.
    fn bury(&mut self, at: Address) {
        self.counters.defects += 1;
        self.outputs.clear();
        // Its half-made facts may be in the cache.
        self.classifier = Classifier::new();
        tracing::error!(worker = self.id, "a session ended by a defect; the others go on");
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.closing = Some(CloseReason::Defect);
        let mut cx = Context {
            now: self.now,
            classifier: &mut self.classifier,
            recorder: &self.recorder,
            outputs: &mut self.outputs,
        };
        let session = &mut slot.session;
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            session.end_by_defect(&mut cx);
        }));
        match ended {
            // Records and events only: a session that ends by a defect says nothing.
            Ok(()) => self.perform(at),
            // The tap ends its recording when it is dropped.
            Err(_panic) => self.outputs.clear(),
        }
    }

    fn touch(&mut self, at: Address) {
        if let Some(slot) = self.slots.get_mut(at)
            && !slot.touched
        {
            slot.touched = true;
            self.touched.push(at);
        }
    }

    fn emit(&mut self, event: AuditEvent) {
        // A queue that is full counts its losses itself, and reports them when it can.
        let _taken = self.events.offer(event);
    }
}

#[cfg(debug_assertions)]
fn inject_fault(marker: Option<&[u8]>, input: &Input) {
    if let (Some(marker), Input::Received { chunk, .. }) = (marker, input) {
        let hit = memchr::memmem::find(chunk, marker).is_some();
        assert!(!hit, "a fault was asked for by NARROWS_TEST_PANIC_ON");
    }
}

fn monotonic_ns() -> u64 {
    let read = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let ns = i128::from(read.tv_sec) * i128::from(NS_PER_S) + i128::from(read.tv_nsec);
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// Both clocks, read once a turn.
fn read_clocks() -> Now {
    Now { unix_ns: unix_ns(), mono_ns: monotonic_ns() }
}
