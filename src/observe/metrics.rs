//! What workers, recorder and key sets report of themselves, as plain numbers. Knows shapes and how
//! to add them up; rendering is `prometheus`'s business, asking is `control`'s.

use hdrhistogram::{CreationError, Histogram};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::limits::{LATENCY_DIGITS, LATENCY_US_MAX};
use crate::model::identity::AccountName;
use crate::model::session::{SessionId, Totals};
use crate::model::target::TargetName;

/// One worker's state at one moment. Every number but those of `sessions` only grows.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    pub worker: u16,
    /// `uring` or `epoll`.
    pub driver: &'static str,
    pub counters: Counters,
    pub gauges: Gauges,
    /// From a command's last byte to its answer's last byte, in microseconds.
    pub latency: Histogram<u64>,
    pub sessions: Vec<SessionView>,
}

/// What a worker counts since its start. Owned by that worker alone, hence plain numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    pub connections_accepted: u64,
    pub sessions_opened: u64,
    pub sessions_closed: u64,
    pub logins_refused: u64,
    pub statements_allowed: u64,
    pub statements_denied: u64,
    /// Allowed, though a policy in observe mode would have denied; counted in `allowed` as well.
    pub statements_observed: u64,
    /// Plaintext bytes that bots sent to us, and that we sent to bots.
    pub downstream_received_bytes: u64,
    pub downstream_sent_bytes: u64,
    /// The same on the targets' side.
    pub upstream_received_bytes: u64,
    pub upstream_sent_bytes: u64,
    pub tls_handshakes: u64,
    pub tls_failures: u64,
    pub cancels: u64,
    /// Times that a leg was made to wait: no free buffer, a full send queue, a congested recorder.
    pub receives_parked: u64,
    /// Panics caught; each ended one session.
    pub defects: u64,
    /// Sessions that ended because a peer broke its protocol.
    pub protocol_errors: u64,
}

impl Counters {
    pub fn add(&mut self, other: &Self) {
        // Destructured, so that a counter that is added here cannot be forgotten.
        let Self {
            connections_accepted,
            sessions_opened,
            sessions_closed,
            logins_refused,
            statements_allowed,
            statements_denied,
            statements_observed,
            downstream_received_bytes,
            downstream_sent_bytes,
            upstream_received_bytes,
            upstream_sent_bytes,
            tls_handshakes,
            tls_failures,
            cancels,
            receives_parked,
            defects,
            protocol_errors,
        } = other;
        self.connections_accepted += connections_accepted;
        self.sessions_opened += sessions_opened;
        self.sessions_closed += sessions_closed;
        self.logins_refused += logins_refused;
        self.statements_allowed += statements_allowed;
        self.statements_denied += statements_denied;
        self.statements_observed += statements_observed;
        self.downstream_received_bytes += downstream_received_bytes;
        self.downstream_sent_bytes += downstream_sent_bytes;
        self.upstream_received_bytes += upstream_received_bytes;
        self.upstream_sent_bytes += upstream_sent_bytes;
        self.tls_handshakes += tls_handshakes;
        self.tls_failures += tls_failures;
        self.cancels += cancels;
        self.receives_parked += receives_parked;
        self.defects += defects;
        self.protocol_errors += protocol_errors;
    }
}

/// What a worker holds at the moment of its report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gauges {
    /// Receive buffers that nobody uses.
    pub chunks_free: u64,
    /// Legs that wait for a buffer, a send queue or the recorder now.
    pub legs_parked: u64,
    /// Sockets, both legs and those not yet logged in.
    pub connections: u64,
}

/// A live session, as an operator sees it.
#[derive(Clone, Debug)]
pub struct SessionView {
    pub id: SessionId,
    pub account: AccountName,
    pub target: TargetName,
    pub database: Arc<str>,
    pub peer: SocketAddr,
    pub started_unix_ns: u64,
    pub totals: Totals,
    /// What the session is doing, in a word.
    pub state: &'static str,
    pub worker: u16,
}

/// The recorder's numbers.
#[derive(Clone, Debug)]
pub struct RecorderStats {
    /// Bytes handed over and not yet written.
    pub queue_bytes: u64,
    pub blocks: u64,
    /// Bytes before and after compression.
    pub raw_bytes: u64,
    pub stored_bytes: u64,
    pub commits: u64,
    /// Time from a commit's first write to the end of its sync, in microseconds.
    pub commit_us: Histogram<u64>,
    /// Loss records written: stretches of sessions that went on unrecorded.
    pub losses: u64,
    /// Nothing can be recorded at this moment.
    pub failed: bool,
}

/// One issuer's key set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeySetState {
    pub issuer: String,
    pub keys: u64,
    /// `None` before the first fetch that succeeded.
    pub fetched_unix_s: Option<u64>,
    /// Why the last fetch failed, if it did.
    pub failure: Option<String>,
}

/// This process, and what it chose at its start.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeView {
    pub name: String,
    pub version: String,
    pub started_unix_ns: u64,
    /// `uring` or `epoll`.
    pub driver: String,
    /// Why that driver, and what would mend what is missing; a sentence a line.
    pub driver_report: Vec<String>,
    pub config_version: String,
    pub workers: u16,
}

/// The event queue's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EventStats {
    pub written: u64,
    pub lost: u64,
    pub queued_bytes: u64,
    /// Writes or syncs that failed; what was to be written is tried again.
    pub failures: u64,
}

/// Everything that `/metrics` shows, gathered at one moment.
pub struct Snapshot {
    pub node: NodeView,
    /// Of those workers that answered in time.
    pub reports: Vec<WorkerReport>,
    pub recorder: RecorderStats,
    pub key_sets: Vec<KeySetState>,
    pub events: EventStats,
    pub now_unix_s: u64,
}

impl Snapshot {
    /// All workers' counters together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for report in &self.reports {
            sum.add(&report.counters);
        }
        sum
    }

    /// Workers that were asked and did not answer.
    #[must_use]
    pub fn silent_workers(&self) -> usize {
        usize::from(self.node.workers).saturating_sub(self.reports.len())
    }
}

/// An empty histogram of microseconds, as `WorkerReport` and `RecorderStats` want it. Record with
/// `saturating_record`: it neither fails nor allocates.
pub fn latency_histogram() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS)
}
