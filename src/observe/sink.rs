//! Audit events to a file, one JSON object a line, by a thread of its own. Knows queues, files and
//! rotation; rendering is `events`'s business.
//!
//! Workers offer events and never wait: what does not fit is counted, and the count becomes an
//! event itself as soon as there is room. A file that cannot be written is tried again for ever;
//! meanwhile the queue fills.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::file::EventFile;
use crate::limits::{EVENT_QUEUE_BYTES_MAX, EVENTS_BATCHED_MAX, EVENTS_QUEUED_MAX};
use crate::model::event::{AuditEvent, What};
use crate::model::session::Parameter;
use crate::model::time::unix_ns;
use crate::observe::events::Renderer;
use crate::observe::metrics::EventStats;

/// The file itself: append, sync, follow rotation, remember the sequence.
mod file;

/// Why the sink cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("cannot open the event file {}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("cannot start the event thread")]
    Thread { source: std::io::Error },
}

/// Where events are offered. Cheap to clone; every worker has one.
#[derive(Clone)]
pub struct EventQueue {
    /// `None` where no sink is configured: then events are of no interest, and none is lost.
    sender: Option<SyncSender<AuditEvent>>,
    shared: Arc<Shared>,
}

impl EventQueue {
    /// For a node without a sink.
    #[must_use]
    pub fn discarding() -> Self {
        Self { sender: None, shared: Arc::default() }
    }

    /// Hands the event over, or counts it as lost where it does not fit: then false. Never waits.
    pub fn offer(&self, event: AuditEvent) -> bool {
        let Some(sender) = &self.sender else { return true };
        let weight = weight(&event);
        let before = self.shared.queued_bytes.fetch_add(weight, Ordering::Relaxed);
        if before + weight <= EVENT_QUEUE_BYTES_MAX as u64 && sender.try_send(event).is_ok() {
            return true;
        }
        self.shared.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
        self.shared.lost_unreported.fetch_add(1, Ordering::Relaxed);
        self.shared.lost.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Opens the file anew within a second: what SIGHUP asks for after a rotation.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn stats(&self) -> EventStats {
        EventStats {
            written: self.shared.written.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
            queued_bytes: self.shared.queued_bytes.load(Ordering::Relaxed),
            failures: self.shared.failures.load(Ordering::Relaxed),
        }
    }
}

/// The running sink. Dropping it leaves the thread alone; `finish` ends it in order.
pub struct EventSink {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl EventSink {
    /// Opens `path` (mode 0640 where it is made) and starts the thread. The node's sequence goes on
    /// from where the file ends.
    pub fn start(path: &Path, node: &str) -> Result<(EventQueue, Self), SinkError> {
        let (queue, mut writer) = prepare(path, node)?;
        let shared = Arc::clone(&queue.shared);
        let thread = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| SinkError::Thread { source })?;
        Ok((queue, Self { shared, thread }))
    }

    /// Writes and syncs what has been offered so far, then ends the thread. Gives up on a file that
    /// cannot be written.
    pub fn finish(self) {
        self.shared.finish.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the event thread ended with a defect");
        }
    }
}

/// What queue and thread share besides the events themselves.
#[derive(Default)]
struct Shared {
    queued_bytes: AtomicU64,
    lost: AtomicU64,
    /// The part of `lost` that no event has told of yet.
    lost_unreported: AtomicU64,
    written: AtomicU64,
    failures: AtomicU64,
    reopen: AtomicBool,
    finish: AtomicBool,
}

/// The thread's side.
struct Writer {
    receiver: Receiver<AuditEvent>,
    shared: Arc<Shared>,
    renderer: Renderer,
    file: EventFile,
    /// Rendered and not yet written.
    lines: Vec<u8>,
    line_count: u64,
    synced: Instant,
}

/// What a turn of the loop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Idle,
    Wrote,
    /// The file could not be written; the lines are kept.
    Failed,
}

impl Writer {
    fn run(&mut self) {
        loop {
            // Read before the queue is, so that what was offered before `finish` is seen.
            let finishing = self.shared.finish.load(Ordering::Acquire);
            let turn = self.turn();
            match turn {
                Turn::Failed if finishing => {
                    tracing::error!(lines = self.line_count, "events were left unwritten");
                    return;
                }
                Turn::Failed => std::thread::park_timeout(RETRY),
                Turn::Idle if finishing => {
                    self.sync();
                    return;
                }
                Turn::Idle => match self.receiver.recv_timeout(TICK) {
                    Ok(event) => {
                        self.take(&event);
                        // Whoever offers while nobody waits pays no system call to wake us: under
                        // load that is once in this time instead of once an event.
                        std::thread::park_timeout(COALESCE);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        self.shared.finish.store(true, Ordering::Release);
                    }
                },
                Turn::Wrote => {}
            }
            if self.synced.elapsed() >= SYNC_EVERY {
                self.sync();
            }
        }
    }

    /// Takes what is queued, up to a batch, and writes it. Does not wait.
    fn turn(&mut self) -> Turn {
        // Lines that a failed write left behind count too: what is rendered stays bounded.
        while self.line_count < EVENTS_BATCHED_MAX as u64 {
            let Ok(event) = self.receiver.try_recv() else {
                self.tell_of_losses();
                break;
            };
            self.take(&event);
        }
        let reopen = self.shared.reopen.swap(false, Ordering::Relaxed);
        if let Err(error) = self.file.follow(reopen) {
            return self.failed("open", &error);
        }
        if self.lines.is_empty() {
            return Turn::Idle;
        }
        if let Err(error) = self.file.append(&self.lines) {
            return self.failed("write", &error);
        }
        self.shared.written.fetch_add(self.line_count, Ordering::Relaxed);
        self.line_count = 0;
        self.lines.clear();
        Turn::Wrote
    }

    fn take(&mut self, event: &AuditEvent) {
        self.shared.queued_bytes.fetch_sub(weight(event), Ordering::Relaxed);
        self.render(event);
    }

    fn tell_of_losses(&mut self) {
        let count = self.shared.lost_unreported.swap(0, Ordering::Relaxed);
        if count == 0 {
            return;
        }
        tracing::warn!(count, "audit events were lost: the queue was full");
        self.render(&AuditEvent::of_gateway(unix_ns(), What::EventsLost { count }));
    }

    fn render(&mut self, event: &AuditEvent) {
        let first = self.renderer.next_sequence();
        self.renderer.render(event, &mut self.lines);
        self.line_count += self.renderer.next_sequence() - first;
    }

    fn sync(&mut self) {
        self.synced = Instant::now();
        // Lines that are rendered and not written keep their numbers in this process only.
        let sequence = self.renderer.next_sequence() - self.line_count;
        if let Err(error) = self.file.sync(sequence) {
            self.failed("sync", &error);
        }
    }

    fn failed(&self, what: &'static str, error: &std::io::Error) -> Turn {
        // One log line for each of the first failures, then one in sixty: about one a minute.
        let failures = self.shared.failures.fetch_add(1, Ordering::Relaxed);
        if failures < 3 || failures.is_multiple_of(60) {
            tracing::error!(%error, failures, "cannot {what} the event file; events wait");
        }
        Turn::Failed
    }
}

fn prepare(path: &Path, node: &str) -> Result<(EventQueue, Writer), SinkError> {
    let (file, next_sequence) = EventFile::open(path)
        .map_err(|source| SinkError::Open { path: path.to_owned(), source })?;
    let (sender, receiver) = sync_channel(EVENTS_QUEUED_MAX);
    let shared = Arc::new(Shared::default());
    let queue = EventQueue { sender: Some(sender), shared: Arc::clone(&shared) };
    let writer = Writer {
        receiver,
        shared,
        renderer: Renderer::new(node, next_sequence),
        file,
        lines: Vec::new(),
        line_count: 0,
        synced: Instant::now(),
    };
    Ok((queue, writer))
}

/// Roughly what a queued event holds of memory; the same before and after the queue.
fn weight(event: &AuditEvent) -> u64 {
    let text_bytes = match &event.what {
        What::Statement(exchange) => {
            let parameters: usize = exchange
                .parameters
                .iter()
                .map(|parameter| match parameter {
                    Parameter::Text(text) | Parameter::Binary(text) => text.len(),
                    Parameter::Null | Parameter::Long(_) => 0,
                })
                .sum();
            exchange.text.len() + parameters
        }
        What::LoginRefused { user, reason } => user.len() + reason.len(),
        What::ConfigReloaded { version: text, by }
        | What::ReloadRefused { reason: text, by }
        | What::Killed { scope: text, by } => text.len() + by.len(),
        What::MaskUnmatched { rule, pattern, .. } => rule.len() + pattern.len(),
        What::RecordingFailed { reason } => reason.len(),
        What::ApprovalAsked { rule, .. } => rule.len(),
        What::ApprovalDecided { by, reason, .. } => {
            by.len() + reason.as_deref().map_or(0, str::len)
        }
        What::SessionStarted
        | What::SessionEnded { .. }
        | What::RefusalsUntold { .. }
        | What::CancelRequested
        | What::ApprovalUsed { .. }
        | What::ApprovalUnheard { .. }
        | What::RecordingRestored
        | What::EventsLost { .. } => 0,
    };
    (size_of::<AuditEvent>() + text_bytes) as u64
}

/// How long an idle thread waits before it looks for a rotation or for the end.
const TICK: Duration = Duration::from_millis(250);
const COALESCE: Duration = Duration::from_millis(10);
const RETRY: Duration = Duration::from_secs(1);
const SYNC_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
