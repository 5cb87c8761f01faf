//! What the admin endpoints say and are told, as JSON. Server and client share these shapes.

use std::net::SocketAddr;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::model::approval::Reviewer;
use crate::model::identity::Claims;
use crate::model::session::{KillScope, Parameter, SessionId, Totals};
use crate::observe::metrics::{
    Counters, EventStats, KeySetState, NodeView, RecorderStats, SessionView, Snapshot,
};

pub const STATUS: &str = "/v1/status";
pub const SESSIONS: &str = "/v1/sessions";
pub const KILL: &str = "/v1/kill";
pub const RELOAD: &str = "/v1/reload";
pub const APPROVALS: &str = "/v1/approvals";
pub const DECIDE: &str = "/v1/approvals/decide";
pub const METRICS: &str = "/metrics";
pub const HEALTH: &str = "/healthz";

/// Answer to `STATUS`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub node: NodeView,
    pub now_unix_s: u64,
    pub sessions: u64,
    /// Workers that did not report in time; their numbers are missing.
    pub workers_silent: u64,
    pub workers: Vec<WorkerLine>,
    pub counters: Counters,
    pub latency: Quantiles,
    pub recorder: RecorderLine,
    pub key_sets: Vec<KeySetState>,
    pub events: EventStats,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerLine {
    pub worker: u16,
    pub driver: String,
    pub sessions: u64,
    pub connections: u64,
    pub chunks_free: u64,
    pub legs_parked: u64,
}

/// A distribution in a few numbers, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    pub count: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecorderLine {
    pub state: RecorderState,
    pub queue_bytes: u64,
    pub blocks: u64,
    pub raw_bytes: u64,
    pub stored_bytes: u64,
    pub commits: u64,
    pub commit: Quantiles,
    pub losses: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecorderState {
    Recording,
    Failed,
}

/// Answer to `SESSIONS`, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    pub workers_silent: u64,
    pub sessions: Vec<SessionLine>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionLine {
    pub id: String,
    pub account: String,
    pub target: String,
    pub database: String,
    pub peer: SocketAddr,
    pub started_unix_ns: u64,
    pub state: String,
    pub worker: u16,
    #[serde(flatten)]
    pub totals: Totals,
}

/// What `KILL` is told: `{"account": "payments-deploy"}`, or `"all"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KillRequest {
    Session(uuid::Uuid),
    Account(String),
    Target(String),
    All,
}

/// Answer to `KILL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    pub ended: u64,
    /// Workers that did not answer in time: their sessions may yet live.
    pub workers_silent: u64,
}

/// Answer to `RELOAD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    pub version: String,
    /// Workers that did not answer in time: they may yet judge by the configuration before it.
    #[serde(default)]
    pub workers_silent: u64,
}

/// Answer to `APPROVALS`, the newest first: `?state=pending`, `?limit=50` and `?before=apr_…` choose
/// what and how much of it. Below it, at `APPROVALS/apr_…`, stands each `ApprovalLine`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approvals {
    pub now_unix_ms: u64,
    pub requests: Vec<ApprovalLine>,
    /// Where the next page begins: what to ask for as `before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A request for approval, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalLine {
    pub id: String,
    pub state: ApprovalState,
    /// What the approval is bound to, in hexadecimal.
    pub hash: String,
    pub account: String,
    pub subject: String,
    pub claims: Claims,
    pub target: String,
    pub database: String,
    pub peer: SocketAddr,
    pub session: String,
    pub exchange: u64,
    /// `policy/rule`.
    pub rule: String,
    pub effects: Vec<String>,
    pub text: String,
    pub parameters: Vec<Parameter>,
    pub in_transaction: bool,
    pub reviewers: Vec<Reviewer>,
    pub quorum: u16,
    pub created_unix_ms: u64,
    /// Until when it can be decided or, once it is approved, be used.
    pub expires_unix_ms: u64,
    pub stands_ms: u64,
    pub votes: Vec<VoteLine>,
    /// Of a rejection.
    pub reason: Option<String>,
    /// `None` while the target is being asked.
    #[serde(default)]
    pub estimate: Option<Estimate>,
}

/// How many rows a command would return or change, as the target's planner guesses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", rename_all_fields = "lowercase")]
pub enum Estimate {
    Rows { rows: u64, tables: Vec<TableSize> },
    Unknown { reason: String },
}

impl Estimate {
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self::Unknown { reason: reason.to_owned() }
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown { reason } => write!(f, "none: {reason}"),
            Self::Rows { rows, tables } => {
                write!(f, "about {rows} rows")?;
                for (at, table) in tables.iter().enumerate() {
                    f.write_str(if at == 0 { "; " } else { ", " })?;
                    match table.rows {
                        Some(rows) => write!(f, "{} has about {rows}", table.name)?,
                        None => write!(f, "{} was never analyzed", table.name)?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// A table, and how many rows it had when it was last analyzed; `None` if it never was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    pub name: String,
    pub rows: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalState {
    Pending,
    Approved,
    /// Its command has been let through.
    Used,
    Rejected,
    Expired,
    Cancelled,
}

impl ApprovalState {
    /// The state of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        use ApprovalState::{Approved, Cancelled, Expired, Pending, Rejected, Used};
        let all = [Pending, Approved, Used, Rejected, Expired, Cancelled];
        all.into_iter().find(|state| state.word() == word)
    }

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Used => "used",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteLine {
    pub by: String,
    /// Of a local user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Of the bearer of a token, with `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub approve: bool,
    pub unix_ms: u64,
}

/// What `DECIDE` is told; its answer is the `ApprovalLine` as it stands then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideRequest {
    pub id: String,
    pub approve: bool,
    /// The beginning of the hash that the reviewer has seen.
    #[serde(default)]
    pub hash: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
}

/// Any answer but success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub error: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl From<KillRequest> for KillScope {
    fn from(request: KillRequest) -> Self {
        match request {
            KillRequest::Session(id) => Self::Session(SessionId(id)),
            KillRequest::Account(name) => Self::Account(name),
            KillRequest::Target(name) => Self::Target(name),
            KillRequest::All => Self::All,
        }
    }
}

impl From<&Snapshot> for Status {
    fn from(snapshot: &Snapshot) -> Self {
        let mut latencies = None;
        for report in &snapshot.reports {
            merge(&mut latencies, &report.latency);
        }
        let workers = snapshot.reports.iter().map(|report| WorkerLine {
            worker: report.worker,
            driver: report.driver.to_owned(),
            sessions: report.sessions.len() as u64,
            connections: report.gauges.connections,
            chunks_free: report.gauges.chunks_free,
            legs_parked: report.gauges.legs_parked,
        });
        Self {
            node: snapshot.node.clone(),
            now_unix_s: snapshot.now_unix_s,
            sessions: snapshot.reports.iter().map(|report| report.sessions.len() as u64).sum(),
            workers_silent: snapshot.silent_workers() as u64,
            workers: workers.collect(),
            counters: snapshot.counters(),
            latency: latencies.as_ref().map(Quantiles::from).unwrap_or_default(),
            recorder: RecorderLine::from(&snapshot.recorder),
            key_sets: snapshot.key_sets.clone(),
            events: snapshot.events,
        }
    }
}

impl From<&RecorderStats> for RecorderLine {
    fn from(stats: &RecorderStats) -> Self {
        Self {
            state: if stats.failed { RecorderState::Failed } else { RecorderState::Recording },
            queue_bytes: stats.queue_bytes,
            blocks: stats.blocks,
            raw_bytes: stats.raw_bytes,
            stored_bytes: stats.stored_bytes,
            commits: stats.commits,
            commit: Quantiles::from(&stats.commit_us),
            losses: stats.losses,
        }
    }
}

impl From<&Histogram<u64>> for Quantiles {
    fn from(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

impl From<SessionView> for SessionLine {
    fn from(view: SessionView) -> Self {
        Self {
            id: view.id.to_string(),
            account: view.account.to_string(),
            target: view.target.to_string(),
            database: view.database.to_string(),
            peer: view.peer,
            started_unix_ns: view.started_unix_ns,
            state: view.state.to_owned(),
            worker: view.worker,
            totals: view.totals,
        }
    }
}

/// Histograms of equal bounds add up; workers make theirs by one function, so that they are equal.
fn merge(sum: &mut Option<Histogram<u64>>, part: &Histogram<u64>) {
    match sum {
        None => *sum = Some(part.clone()),
        Some(sum) => {
            if sum.add(part).is_err() {
                tracing::error!("a latency histogram has bounds of its own and was left out");
            }
        }
    }
}
