//! The recorder thread: takes blocks from the queue, compresses, writes and syncs them in groups,
//! rotates segments, and decides what a failed disk means. Knows no protocol and no session state.

mod failure;
mod open;
mod sessions;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, channel};
use uuid::Uuid;

use crate::limits::{
    BATCH_BUFFERS_KEPT, CLOCK_STEP_MS, CUT_AGE_MS, GROUP_WINDOW_MS, RECORDER_QUEUE_BLOCKS_MAX,
    SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, UNSYNCED_BYTES_MAX, WRITE_BYTES,
};
use crate::model::session::SessionId;
use crate::model::time::{NS_PER_MS, unix_ns};
use crate::record::block::BlockKind;
use crate::record::disk::{self, Disk, Driver};
use crate::record::ledger::Ledger;
use crate::record::recover::{self, Repaired};
use crate::record::segment::{SegmentHeader, node_id};
use crate::record::sync::{Cut, Message, Outcome, Progress, Queue, Shared, Urgency};
use crate::record::{ClockStep, Durability, RecordingConfig, SessionEnd, StartError};

use self::failure::give_up;
use self::open::{Batch, Compressor, OpenSegment, Stored};
use self::sessions::Sessions;

/// Starts the thread and waits until it has repaired the directory and opened a segment.
pub(super) fn spawn(
    config: RecordingConfig,
    shared: Arc<Shared>,
    driver: impl FnOnce() -> io::Result<Driver> + Send + 'static,
) -> Result<(Queue, JoinHandle<()>, Arc<Notify>), StartError> {
    if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&config.segment_bytes) {
        return Err(StartError::SegmentBytes {
            bytes: config.segment_bytes,
            min: SEGMENT_BYTES_MIN,
            max: SEGMENT_BYTES_MAX,
        });
    }
    let (queue, inbox) = channel(RECORDER_QUEUE_BLOCKS_MAX);
    let stopper = Arc::new(Notify::new());
    let stop = Arc::clone(&stopper);
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let dir = config.dir.clone();
    let thread = std::thread::Builder::new().name("narrows-record".into()).spawn(move || {
        let begun = driver()
            .map_err(|source| io_error("start a runtime for", &config.dir, source))
            .and_then(|driver| {
                let writer = Writer::new(config, shared, driver.disk(), inbox, stop)?;
                Ok((driver, writer))
            });
        let (driver, mut writer) = match begun {
            Ok(begun) => begun,
            Err(error) => return drop(ready.send(Err(error))),
        };
        driver.block_on(async {
            let begun = writer.begin().await;
            let failed = begun.is_err();
            drop(ready.send(begun));
            if !failed {
                writer.run().await;
            }
        });
    });
    let handle = thread.map_err(|source| io_error("start a thread for", &dir, source))?;
    match started.recv() {
        Ok(Ok(())) => Ok((queue, handle, stopper)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::Thread),
    }
}

struct Writer {
    config: RecordingConfig,
    shared: Arc<Shared>,
    disk: Disk,
    inbox: Receiver<Message>,
    stopper: Arc<Notify>,
    compressor: Compressor,
    state: State,
    /// Open sessions, as of the last block that was given a place.
    sessions: Sessions,
    previous: Previous,
    repaired: Repaired,
    commit: Option<Commit>,
    /// Buffers of batches that are durable, for those to come: their memory is warm.
    spares: Vec<Vec<u8>>,
    /// Wall clock minus monotonic clock, and the instant that the latter counts from.
    drift_ns: i128,
    origin: Instant,
    /// Held for the life of the thread: one recorder a directory.
    _lock: std::fs::File,
}

enum State {
    Open(Box<OpenSegment>),
    Failed { retry_at: Instant, ledger: Ledger },
}

/// What the next segment says about the one before.
#[derive(Clone, Copy)]
struct Previous {
    segment: Uuid,
    valid_bytes: u64,
    next_seq: u64,
}

type Commit = Pin<Box<dyn Future<Output = Committed>>>;

struct Committed {
    result: io::Result<()>,
    batch: Batch,
    synced: Synced,
    started: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Synced {
    Yes,
    No,
}

impl Writer {
    fn new(
        config: RecordingConfig,
        shared: Arc<Shared>,
        disk: Disk,
        inbox: Receiver<Message>,
        stopper: Arc<Notify>,
    ) -> Result<Self, StartError> {
        let lock = lock(&config.dir)?;
        let repaired = recover::repair(&config.dir, node_id(&config.node_name))
            .map_err(|source| StartError::Recover { path: config.dir.clone(), source })?;
        let previous = Previous {
            segment: repaired.last_segment,
            valid_bytes: repaired.last_valid_bytes,
            next_seq: repaired.next_seq,
        };
        let compressor = Compressor::new().ok_or(StartError::Thread)?;
        let origin = Instant::now();
        Ok(Self {
            config,
            shared,
            disk,
            inbox,
            stopper,
            compressor,
            state: State::Failed { retry_at: origin, ledger: Ledger::default() },
            sessions: Sessions::default(),
            previous,
            repaired,
            commit: None,
            spares: Vec::new(),
            drift_ns: i128::from(unix_ns()),
            origin,
            _lock: lock,
        })
    }

    /// Opens the first segment, says in it what was repaired, and makes that durable.
    async fn begin(&mut self) -> Result<(), StartError> {
        let dir = self.config.dir.clone();
        self.repaired.open_sessions.iter().for_each(|session| self.sessions.carry(session));
        let segment = self.create().map_err(|error| io_error("record in", &dir, error))?;
        self.state = State::Open(Box::new(segment));
        let repaired = std::mem::take(&mut self.repaired);
        if let Some(record) = &repaired.record {
            let raw = serde_json::to_vec(record).unwrap_or_default();
            self.store(Cut::of_record(BlockKind::Recovery, 0, unix_ns(), raw)).await;
        }
        for session in &repaired.open_sessions {
            let end = SessionEnd { reason: GATEWAY_CRASH.to_owned(), totals: None };
            let raw = serde_json::to_vec(&end).unwrap_or_default();
            let cut = Cut::of_record(BlockKind::SessionEnd, session.next_seq, unix_ns(), raw);
            self.store_for(session.session, None, cut).await;
        }
        self.flush().await.map_err(|error| io_error("record in", &dir, error))
    }

    async fn run(&mut self) {
        let stopper = Arc::clone(&self.stopper);
        let mut messages = Vec::with_capacity(MESSAGES_A_TURN);
        loop {
            let deadline = tokio::time::Instant::from_std(self.deadline());
            tokio::select! {
                biased;
                done = finished(&mut self.commit) => self.on_committed(done).await,
                () = stopper.notified() => break,
                count = self.inbox.recv_many(&mut messages, MESSAGES_A_TURN) => {
                    if count == 0 {
                        break;
                    }
                }
                () = tokio::time::sleep_until(deadline) => {}
            }
            for message in messages.drain(..) {
                self.take(message).await;
            }
            self.tick().await;
        }
        self.stop().await;
    }

    async fn take(&mut self, message: Message) {
        let (session, loss, first, last) = match message {
            Message::Block { session, loss, cut } => (session, loss, Some(cut), None),
            Message::End { session, loss, data, end } => (session, loss, data, Some(end)),
        };
        if let Some(loss) = loss {
            self.shared.count_loss(loss.blocks, loss.raw_bytes);
            self.store_for(session.id, Some(&session), Cut::of_loss(loss, unix_ns())).await;
        }
        for cut in [first, last].into_iter().flatten() {
            self.store_for(session.id, Some(&session), cut).await;
        }
    }

    /// Stores a block that belongs to no session.
    async fn store(&mut self, cut: Cut) {
        self.store_for(SessionId(Uuid::nil()), None, cut).await;
    }

    /// Gives a block its place, in a new segment if this one is full, or notes its loss.
    async fn store_for(&mut self, session: SessionId, progress: Option<&Arc<Progress>>, cut: Cut) {
        if let State::Open(segment) = &self.state
            && !segment.fits(cut.raw.len())
        {
            self.rotate().await;
        }
        let State::Open(segment) = &mut self.state else {
            return self.lose(progress, cut);
        };
        let mut packed = self.compressor.pack(segment.header.segment, session.0, &cut);
        packed.progress = progress.map(Arc::clone);
        self.shared.settle_for(&mut packed.queued_bytes, packed.payload.len(), progress);
        let stored = segment.push(packed, Instant::now());
        self.sessions.apply(session, progress, cut.kind, cut.session_seq, cut.loss);
        let figures = self.shared.figures();
        figures.blocks.fetch_add(1, Ordering::Relaxed);
        figures.raw_bytes.fetch_add(cut.raw.len() as u64, Ordering::Relaxed);
        figures.stored_bytes.fetch_add(stored, Ordering::Relaxed);
        if let Some(progress) = progress {
            progress.return_buffer(cut.raw);
        }
    }

    /// What time alone brings about: commits, clock records, another try after a failure.
    async fn tick(&mut self) {
        let now = Instant::now();
        match &self.state {
            State::Failed { retry_at, .. } if now >= *retry_at => self.restore().await,
            State::Failed { .. } => {}
            State::Open(segment) => {
                if self.commit.is_some() {
                    return;
                }
                let synced = if sync_due(segment, self.window(), now) {
                    Synced::Yes
                } else if segment.gathering.bytes.len() >= WRITE_BYTES {
                    Synced::No
                } else {
                    return;
                };
                self.note_clock().await;
                self.start_commit(synced);
            }
        }
    }

    fn deadline(&self) -> Instant {
        let idle = Instant::now() + IDLE;
        match &self.state {
            State::Failed { retry_at, .. } => *retry_at,
            State::Open(_) if self.commit.is_some() => idle,
            State::Open(segment) => segment.oldest().map_or(idle, |at| at + self.window()),
        }
    }

    /// How long a block may wait in the recorder before its sync begins.
    const fn window(&self) -> Duration {
        Duration::from_millis(match self.config.durability {
            Durability::Async => CUT_AGE_MS,
            Durability::Group | Durability::Request | Durability::Strict => GROUP_WINDOW_MS / 2,
        })
    }

    fn start_commit(&mut self, synced: Synced) {
        let State::Open(segment) = &mut self.state else { return };
        let batch = segment.take_batch(self.spares.pop().unwrap_or_default());
        let file = Rc::clone(&segment.file);
        self.commit = Some(Box::pin(write(file, batch, synced)));
    }

    async fn on_committed(&mut self, done: Committed) {
        let Committed { result, batch, synced, started } = done;
        let State::Open(segment) = &mut self.state else { return };
        segment.unsynced.push(batch);
        match (result, synced) {
            (Ok(()), Synced::No) => {}
            (Ok(()), Synced::Yes) => {
                let settled = segment.settle();
                let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.shared.committed(micros);
                self.publish(settled);
            }
            (Err(error), _) => self.fail_over(&error).await,
        }
    }

    /// Tells the sessions of these batches that their blocks are durable.
    fn publish(&mut self, settled: Vec<Batch>) {
        for stored in settled.iter().flat_map(|batch| &batch.blocks) {
            release(&self.shared, stored, Outcome::Durable);
        }
        for progress in settled
            .iter()
            .flat_map(|batch| &batch.blocks)
            .filter_map(|block| block.progress.as_ref())
        {
            progress.wake();
        }
        if self.shared.relieved() {
            self.sessions.wake();
        }
        let room = BATCH_BUFFERS_KEPT.saturating_sub(self.spares.len());
        self.spares.extend(settled.into_iter().take(room).map(|batch| batch.bytes));
    }

    /// Writes and syncs everything that has a place. An error has been acted upon; it is returned
    /// for the caller who must not go on.
    async fn flush(&mut self) -> io::Result<()> {
        if self.commit.is_some() {
            let done = finished(&mut self.commit).await;
            self.on_committed(done).await;
        }
        self.start_commit(Synced::Yes);
        if self.commit.is_some() {
            let done = finished(&mut self.commit).await;
            self.on_committed(done).await;
        }
        match &self.state {
            State::Open(_) => Ok(()),
            State::Failed { .. } => Err(rustix::io::Errno::IO.into()),
        }
    }

    async fn rotate(&mut self) {
        if self.flush().await.is_err() {
            return;
        }
        self.seal().await;
        match self.create() {
            Ok(segment) => self.state = State::Open(Box::new(segment)),
            Err(error) => self.fail(&error, Vec::new()),
        }
    }

    /// Ends a flushed segment with its index and trailer. Without them it is still whole, which
    /// its sidecar says.
    async fn seal(&mut self) {
        let State::Open(segment) = &mut self.state else { return };
        let index_at = segment.end_bytes();
        for raw in segment.take_index() {
            let cut = Cut::of_record(BlockKind::Index, 0, unix_ns(), raw);
            let packed = self.compressor.pack(segment.header.segment, Uuid::nil(), &cut);
            segment.push(packed, Instant::now());
        }
        let valid_bytes = segment.end_bytes();
        let end = segment.push_trailer(index_at, self.sessions.count());
        let batch = segment.take_batch(Vec::new());
        let file = Rc::clone(&segment.file);
        let written = write(Rc::clone(&file), batch, Synced::Yes).await;
        self.previous.segment = segment.header.segment;
        self.previous.next_seq = segment.header.segment_seq + 1;
        match written.result.and_then(|()| file.seal(end)) {
            Ok(()) => self.previous.valid_bytes = valid_bytes,
            Err(error) => {
                tracing::warn!(%error, segment = %segment.path.display(), "segment left unsealed");
                self.previous.valid_bytes = segment.durable_bytes;
                give_up(segment);
            }
        }
    }

    fn create(&mut self) -> io::Result<OpenSegment> {
        let created_unix_ns = unix_ns();
        let header = SegmentHeader {
            node: node_id(&self.config.node_name),
            node_name: self.config.node_name.clone(),
            software: SOFTWARE.to_owned(),
            writer: WRITER,
            segment: SessionId::at(created_unix_ns).0,
            segment_seq: self.previous.next_seq,
            created_unix_ns,
            created_mono_ns: recover::uptime_ns(),
            boot: recover::boot_id(),
            predecessor: self.previous.segment,
            predecessor_valid_bytes: self.previous.valid_bytes,
        };
        let path = header.path(&self.config.dir);
        let limit = self.config.segment_bytes;
        let file = self.disk.create(&path, limit)?;
        let mut segment = OpenSegment::new(header, path, file, limit);
        for raw in self.sessions.carried() {
            let cut = Cut::of_record(BlockKind::Carried, 0, created_unix_ns, raw);
            let packed = self.compressor.pack(segment.header.segment, Uuid::nil(), &cut);
            segment.push(packed, Instant::now());
        }
        self.shared.figures().segments.fetch_add(1, Ordering::Relaxed);
        Ok(segment)
    }

    /// A wall clock that was set leaves a record, so that times on both sides can be understood.
    async fn note_clock(&mut self) {
        let drift_ns = i128::from(unix_ns()) - self.origin.elapsed().as_nanos() as i128;
        let step_ns = drift_ns - self.drift_ns;
        if step_ns.unsigned_abs() < u128::from(CLOCK_STEP_MS * NS_PER_MS) {
            return;
        }
        self.drift_ns = drift_ns;
        let record = ClockStep { step_ns: i64::try_from(step_ns).unwrap_or(i64::MAX) };
        let raw = serde_json::to_vec(&record).unwrap_or_default();
        self.store(Cut::of_record(BlockKind::Clock, 0, unix_ns(), raw)).await;
    }

    /// Writes what is queued, says what is missing, and seals the segment.
    async fn stop(&mut self) {
        self.inbox.close();
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message).await;
        }
        if matches!(self.state, State::Failed { .. }) {
            self.restore().await;
        }
        if self.flush().await.is_ok() {
            self.seal().await;
        }
    }
}

impl Drop for Writer {
    /// Also when the thread panics: nobody may wait for it, and nothing counts as recorded.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.fail("the recorder ended by a defect".to_owned());
        }
        self.shared.stop();
        self.sessions.wake();
    }
}

async fn finished(commit: &mut Option<Commit>) -> Committed {
    match commit {
        Some(running) => {
            let done = running.await;
            *commit = None;
            done
        }
        None => std::future::pending().await,
    }
}

async fn write(file: Rc<disk::File>, batch: Batch, synced: Synced) -> Committed {
    let started = Instant::now();
    let mut result = Ok(());
    if !batch.is_empty() {
        result = file.write(&batch.bytes, batch.at);
    }
    if result.is_ok() && synced == Synced::Yes {
        result = file.sync().await;
    }
    Committed { result, batch, synced, started }
}

fn sync_due(segment: &OpenSegment, window: Duration, now: Instant) -> bool {
    let awaited = segment
        .unsynced
        .iter()
        .chain(Some(&segment.gathering))
        .any(|batch| batch.urgency == Urgency::Awaited);
    awaited
        || segment.unsynced_bytes() >= UNSYNCED_BYTES_MAX
        || segment.oldest().is_some_and(|at| now >= at + window)
}

fn release(shared: &Shared, stored: &Stored, outcome: Outcome) {
    if let Some(progress) = &stored.progress {
        progress.release(stored.header.session_seq, stored.queued_bytes, outcome);
        shared.release(stored.queued_bytes);
    }
}

fn lock(dir: &std::path::Path) -> Result<std::fs::File, StartError> {
    std::fs::create_dir_all(dir).map_err(|error| io_error("create", dir, error))?;
    let path = dir.join(recover::LOCK_NAME);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| io_error("open", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::InUse { dir: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(io_error("lock", &path, error)),
    }
}

fn io_error(action: &'static str, path: &std::path::Path, source: io::Error) -> StartError {
    StartError::Io { action, path: path.to_owned(), source }
}

/// How the reason of a session that a crash ended is spelt.
pub(super) const GATEWAY_CRASH: &str = "gateway_crash";
const SOFTWARE: &str = concat!("narrows ", env!("CARGO_PKG_VERSION"));
/// One recorder thread writes all of a node's sessions.
const WRITER: u16 = 0;
const MESSAGES_A_TURN: usize = 16;
const IDLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
