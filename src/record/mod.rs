//! Both directions of every session, in append-only segments.
//!
//! A worker's sessions append to their `Tap`; full or old blocks travel through a bounded queue to
//! the recorder thread, which compresses, writes and syncs them, and publishes how far each session
//! is durable. `docs/recording-format.md` draws the bytes. Knows no protocol and no policy.

mod block;
mod disk;
pub mod export;
pub mod ledger;
mod sync;
mod writer;
pub mod index;
pub mod reader;
pub mod recover;
pub mod run;
pub mod segment;
pub mod tap;
pub mod verify;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use crate::limits::SEGMENT_BYTES;
use crate::model::identity::ClaimValue;
use crate::model::session::{SessionId, Totals};
use crate::model::target::Protocol;

pub use crate::model::recording::{Durability, OnFailure};
pub use crate::record::block::BlockKind;
pub use crate::record::run::{Flow, RunKind};
pub use crate::record::sync::{Loss, RecordFailure, Stats, Watcher};
pub use crate::record::tap::{Recorded, Tap, Waker, WorkerLink};

#[derive(Clone, Debug)]
pub struct RecordingConfig {
    pub dir: PathBuf,
    /// Names this gateway in every segment.
    pub node_name: String,
    pub durability: Durability,
    pub on_failure: OnFailure,
    /// Between `SEGMENT_BYTES_MIN` and `SEGMENT_BYTES_MAX`.
    pub segment_bytes: u64,
}

impl RecordingConfig {
    #[must_use]
    pub fn new(dir: PathBuf, node_name: impl Into<String>) -> Self {
        Self {
            dir,
            node_name: node_name.into(),
            durability: Durability::default(),
            on_failure: OnFailure::default(),
            segment_bytes: SEGMENT_BYTES,
        }
    }
}

/// What a recording says about a session before its first byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStart {
    pub session: SessionId,
    pub account: String,
    pub target: String,
    pub protocol: Protocol,
    pub database: String,
    /// The bot's address.
    pub client: SocketAddr,
    pub issuer: String,
    pub subject: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_id: Option<String>,
    pub token_expires_unix_s: u64,
    pub claims: BTreeMap<String, ClaimValue>,
    /// Whom the upstream leg logged in as.
    pub upstream_user: String,
    pub policies: Vec<String>,
    pub policy_version: String,
    /// Protocol version and cipher suite of each leg, where it has TLS.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub downstream_tls: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upstream_tls: Option<String>,
}

/// What a recording says about a session after its last byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// A `CloseReason`'s code, or `gateway_crash`.
    pub reason: String,
    /// Unknown for a session that a crash ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub totals: Option<Totals>,
}

/// What a CLOCK block says: the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    pub step_ns: i64,
}

/// A session that was open when a segment began, so that a segment can be read alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedSession {
    pub session: SessionId,
    pub next_seq: u64,
    pub account: String,
    pub target: String,
    pub started_unix_ns: u64,
}

/// Why recording cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} is in use by another recorder", dir.display())]
    InUse { dir: PathBuf },
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("segment size {bytes} is not between {min} and {max}")]
    SegmentBytes { bytes: u64, min: u64, max: u64 },
    #[error("cannot recover {}", path.display())]
    Recover {
        path: PathBuf,
        #[source]
        source: recover::RecoverError,
    },
    #[error("the recorder's thread ended before it began")]
    Thread,
}

/// A handle on the recorder thread. Clones share it; the last one to go stops it.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<sync::Shared>,
    thread: Arc<Thread>,
}

impl Recorder {
    /// Repairs what an unclean stop left behind, opens a segment and starts the thread.
    pub fn start(config: RecordingConfig) -> Result<Self, StartError> {
        Self::start_on(config, disk::Disk::choose)
    }

    /// The recorder's end for one worker. Call it on the worker's own thread: a link stays there.
    /// `waker` is called when a session that waited can go on.
    #[must_use]
    pub fn worker(&self, worker_id: u16, waker: Waker) -> WorkerLink {
        WorkerLink::new(worker_id, Arc::clone(&self.shared), self.thread.queue.clone(), waker)
    }

    /// Has `watcher` told once whenever recording fails, and once when it works again.
    pub fn watch(&self, watcher: Watcher) {
        self.shared.watch(watcher);
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Writes what is queued, seals the segment and ends the thread. Sessions should have ended.
    pub fn stop(&self) {
        self.thread.stop();
    }

    fn start_on(
        config: RecordingConfig,
        disk: impl FnOnce() -> std::io::Result<disk::Driver> + Send + 'static,
    ) -> Result<Self, StartError> {
        let shared = Arc::new(sync::Shared::new(config.durability, config.on_failure));
        let (queue, handle, stopper) = writer::spawn(config, Arc::clone(&shared), disk)?;
        let thread = Thread { queue, stopper, handle: Mutex::new(Some(handle)) };
        Ok(Self { shared, thread: Arc::new(thread) })
    }
}

struct Thread {
    queue: sync::Queue,
    stopper: Arc<tokio::sync::Notify>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Thread {
    fn stop(&self) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            self.stopper.notify_one();
            // A panicked recorder has already been seen by every tap as a failure.
            drop(handle.join());
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
pub(crate) mod tests;
