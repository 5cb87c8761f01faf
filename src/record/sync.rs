//! What taps and the recorder thread share: the queue's messages, progress, pressure, failure and
//! figures. Knows no bytes of the format.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use crate::limits::{BLOCK_RAW_BYTES, SESSION_QUEUE_BYTES_MAX};
use crate::model::event::What;
use crate::model::session::SessionId;
use crate::record::block::BlockKind;
use crate::record::tap::Waker;
use crate::record::{Durability, OnFailure};

pub(super) type Queue = tokio::sync::mpsc::Sender<Message>;
pub(super) type Permit = tokio::sync::mpsc::OwnedPermit<Message>;

/// Told when recording fails and when it works again. Must not wait: the recorder's thread calls it.
pub type Watcher = Box<dyn Fn(What) + Send + Sync>;

/// Why a session can no longer be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFailure {
    #[error("the recording cannot be written")]
    Disk,
    #[error("the recorder is too far behind")]
    Overrun,
    #[error("the recorder has stopped")]
    Stopped,
    #[error("a record cannot be rendered")]
    Render,
}

/// What travels from a tap to the recorder thread.
pub(super) enum Message {
    Block { session: Arc<Progress>, loss: Option<Loss>, cut: Cut },
    End { session: Arc<Progress>, loss: Option<Loss>, data: Option<Cut>, end: Cut },
}

/// A block as its tap leaves it: raw, with what its header says about its content.
pub(super) struct Cut {
    pub kind: BlockKind,
    pub session_seq: u64,
    pub raw: Vec<u8>,
    pub base_unix_ns: u64,
    /// Lets a block that found the queue full be opened again.
    pub base_mono_ns: u64,
    pub span_us: u32,
    pub run_count: u32,
    pub from_bot_bytes: u32,
    pub to_bot_bytes: u32,
    pub urgency: Urgency,
    /// What the block counts for on the queue.
    pub queued_bytes: usize,
    /// What a LOSS block says.
    pub loss: Option<Loss>,
}

/// Whether somebody waits for a block to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    Awaited,
    Gathered,
}

/// What a recording lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Loss {
    pub first_session_seq: u64,
    pub blocks: u64,
    pub runs: u64,
    pub raw_bytes: u64,
}

impl Cut {
    /// A block that holds one record instead of runs.
    pub const fn of_record(kind: BlockKind, session_seq: u64, unix_ns: u64, raw: Vec<u8>) -> Self {
        Self {
            kind,
            session_seq,
            raw,
            base_unix_ns: unix_ns,
            base_mono_ns: 0,
            span_us: 0,
            run_count: 0,
            from_bot_bytes: 0,
            to_bot_bytes: 0,
            urgency: Urgency::Gathered,
            queued_bytes: 0,
            loss: None,
        }
    }

    pub fn of_loss(loss: Loss, unix_ns: u64) -> Self {
        // Four numbers: this cannot fail.
        let raw = serde_json::to_vec(&loss).unwrap_or_default();
        let mut cut = Self::of_record(BlockKind::Loss, loss.first_session_seq, unix_ns, raw);
        cut.loss = Some(loss);
        cut
    }
}

impl Loss {
    pub(super) fn add(&mut self, session_seq: u64, runs: u32, raw_bytes: usize) {
        if self.blocks == 0 {
            self.first_session_seq = session_seq;
        }
        self.blocks += 1;
        self.runs += u64::from(runs);
        self.raw_bytes += raw_bytes as u64;
    }

    pub(super) fn merge(&mut self, other: Self) {
        if self.blocks == 0 {
            self.first_session_seq = other.first_session_seq;
        }
        self.blocks += other.blocks;
        self.runs += other.runs;
        self.raw_bytes += other.raw_bytes;
    }
}

/// One session's progress, written by the recorder and read by its tap.
pub(super) struct Progress {
    pub id: SessionId,
    /// What later segments say about a session that is still open.
    pub account: Box<str>,
    pub target: Box<str>,
    pub started_unix_ns: u64,
    /// Blocks with a smaller sequence number are durable.
    durable: AtomicU64,
    queued_bytes: AtomicUsize,
    /// The tap said no to its worker, who wants to be woken.
    waiting: AtomicBool,
    lost: AtomicBool,
    waker: Waker,
    buffers: SyncSender<Vec<u8>>,
}

impl Progress {
    pub fn new(
        id: SessionId,
        about: (&str, &str, u64),
        waker: Waker,
        buffers: SyncSender<Vec<u8>>,
    ) -> Self {
        let (account, target, started_unix_ns) = about;
        Self {
            id,
            account: account.into(),
            target: target.into(),
            started_unix_ns,
            durable: AtomicU64::new(0),
            queued_bytes: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            waker,
            buffers,
        }
    }

    /// Asks, and leaves a wish to be woken if the answer is no. The order of the two loads and the
    /// store makes sure that one side sees the other.
    pub fn is_durable(&self, session_seq: u64) -> bool {
        if self.durable.load(Ordering::Acquire) > session_seq {
            return true;
        }
        self.waiting.store(true, Ordering::SeqCst);
        self.durable.load(Ordering::SeqCst) > session_seq
    }

    pub fn is_full(&self, open_bytes: usize, limit: usize) -> bool {
        if self.queued_bytes.load(Ordering::Relaxed) + open_bytes < limit {
            return false;
        }
        self.waiting.store(true, Ordering::SeqCst);
        self.queued_bytes.load(Ordering::SeqCst) + open_bytes >= limit
    }

    pub fn wish_to_be_woken(&self) {
        self.waiting.store(true, Ordering::SeqCst);
    }

    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub fn queue(&self, bytes: usize) {
        self.queued_bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    /// The recorder is done with a block, well or badly.
    pub fn release(&self, session_seq: u64, bytes: usize, outcome: Outcome) {
        match outcome {
            Outcome::Durable => {}
            Outcome::Lost => self.lost.store(true, Ordering::SeqCst),
        }
        self.queued_bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.durable.fetch_max(session_seq + 1, Ordering::SeqCst);
    }

    /// Wakes the worker if this session made it wait.
    pub fn wake(&self) {
        if self.waiting.swap(false, Ordering::SeqCst) {
            (self.waker)();
        }
    }

    pub fn return_buffer(&self, buffer: Vec<u8>) {
        // A full return path means that the worker has plenty: the buffer may go.
        drop(self.buffers.try_send(buffer));
    }
}

/// How a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Durable,
    Lost,
}

/// What all taps of a recorder share.
pub(super) struct Shared {
    pub durability: Durability,
    pub on_failure: OnFailure,
    queued_bytes: AtomicUsize,
    /// A tap was told to wait for room in the queue as a whole.
    pressed: AtomicBool,
    state: AtomicU8,
    watcher: Mutex<Option<Watcher>>,
    figures: Figures,
    commits: Mutex<Commits>,
}

#[derive(Default)]
pub(super) struct Figures {
    pub blocks: AtomicU64,
    pub raw_bytes: AtomicU64,
    pub stored_bytes: AtomicU64,
    pub segments: AtomicU64,
    pub lost_blocks: AtomicU64,
    pub lost_bytes: AtomicU64,
    pub failures: AtomicU64,
}

struct Commits {
    micros: Option<Histogram<u64>>,
    last_failure: Option<String>,
}

/// A snapshot of the recorder's figures.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub failing: bool,
    pub queue_bytes: usize,
    pub blocks: u64,
    pub raw_bytes: u64,
    pub stored_bytes: u64,
    pub segments: u64,
    pub lost_blocks: u64,
    pub lost_bytes: u64,
    pub failures: u64,
    pub last_failure: Option<String>,
    /// Time from a commit's first write to the end of its sync, in microseconds.
    pub commit_us: Option<Histogram<u64>>,
}

impl Shared {
    pub fn new(durability: Durability, on_failure: OnFailure) -> Self {
        Self {
            durability,
            on_failure,
            queued_bytes: AtomicUsize::new(0),
            pressed: AtomicBool::new(false),
            state: AtomicU8::new(RECORDING),
            watcher: Mutex::new(None),
            figures: Figures::default(),
            commits: Mutex::new(Commits {
                micros: Histogram::new_with_bounds(1, COMMIT_US_MAX, 2).ok(),
                last_failure: None,
            }),
        }
    }

    pub const fn figures(&self) -> &Figures {
        &self.figures
    }

    pub fn queue(&self, bytes: usize) {
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn release(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A packed block holds `held` bytes, not the raw ones that were `queued`: the rest makes room
    /// for more.
    pub fn settle_for(&self, queued: &mut usize, held: usize, progress: Option<&Arc<Progress>>) {
        let Some(progress) = progress else { return };
        let freed = queued.saturating_sub(held);
        *queued -= freed;
        let before = progress.queued_bytes.fetch_sub(freed, Ordering::SeqCst);
        self.release(freed);
        // A session that waits for a sync is not to be woken for room that it had all along.
        if before + BLOCK_RAW_BYTES >= SESSION_QUEUE_BYTES_MAX {
            progress.wake();
        }
    }

    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    pub fn press(&self) {
        self.pressed.store(true, Ordering::SeqCst);
    }

    /// Whether taps wait for room that there may be now.
    pub fn relieved(&self) -> bool {
        self.pressed.swap(false, Ordering::SeqCst)
    }

    pub fn count_loss(&self, blocks: u64, bytes: u64) {
        self.figures.lost_blocks.fetch_add(blocks, Ordering::Relaxed);
        self.figures.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Why nothing can be recorded now, if so.
    pub fn failure(&self) -> Option<RecordFailure> {
        match self.state.load(Ordering::Acquire) {
            RECORDING => None,
            FAILED => Some(RecordFailure::Disk),
            _ => Some(RecordFailure::Stopped),
        }
    }

    /// Has every change of state told from now on; a failure that stands already is told at once.
    pub fn watch(&self, watcher: Watcher) {
        let mut place = lock(&self.watcher);
        if self.state.load(Ordering::SeqCst) == FAILED {
            let reason = lock(&self.commits).last_failure.clone().unwrap_or_default();
            watcher(What::RecordingFailed { reason });
        }
        *place = Some(watcher);
    }

    pub fn fail(&self, why: String) {
        self.figures.failures.fetch_add(1, Ordering::Relaxed);
        lock(&self.commits).last_failure = Some(why.clone());
        self.turn(FAILED, What::RecordingFailed { reason: why });
    }

    pub fn restore(&self) {
        self.turn(RECORDING, What::RecordingRestored);
    }

    pub fn stop(&self) {
        self.state.store(STOPPED, Ordering::SeqCst);
    }

    pub fn committed(&self, micros: u64) {
        let mut commits = lock(&self.commits);
        if let Some(histogram) = &mut commits.micros {
            histogram.saturating_record(micros);
        }
    }

    pub fn stats(&self) -> Stats {
        let commits = lock(&self.commits);
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Stats {
            failing: self.failure().is_some(),
            queue_bytes: self.queued_bytes(),
            blocks: read(&self.figures.blocks),
            raw_bytes: read(&self.figures.raw_bytes),
            stored_bytes: read(&self.figures.stored_bytes),
            segments: read(&self.figures.segments),
            lost_blocks: read(&self.figures.lost_blocks),
            lost_bytes: read(&self.figures.lost_bytes),
            failures: read(&self.figures.failures),
            last_failure: commits.last_failure.clone(),
            commit_us: commits.micros.clone(),
        }
    }

    /// A disk that fails again while it is being tried changes nothing, and is not told again.
    fn turn(&self, state: u8, what: What) {
        // Held over the change, so that whoever begins to watch neither misses it nor hears it twice.
        let watcher = lock(&self.watcher);
        if self.state.swap(state, Ordering::SeqCst) != state
            && let Some(tell) = &*watcher
        {
            tell(what);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const RECORDING: u8 = 0;
const FAILED: u8 = 1;
const STOPPED: u8 = 2;
/// A commit slower than a minute is counted as a minute.
const COMMIT_US_MAX: u64 = 60_000_000;

#[cfg(test)]
mod tests;
