//! Everything slow: the admin endpoints that operators and collectors ask, key sets, names and
//! secrets. It may wait for networks, disks and operators; no worker waits for it. Knows a fleet of
//! workers by what it can be asked for; never how a worker does it.

pub mod approvals;
pub mod catalogue;
pub mod dial;
pub mod estimate;
mod fetch;
pub mod harden;
pub mod keys;
pub mod notify;

use tokio::sync::oneshot;

use crate::model::session::KillScope;
use crate::observe::metrics::{KeySetState, NodeView, RecorderStats, WorkerReport};

/// HTTP for operators and collectors.
pub mod admin;
/// The shapes that server and client share.
pub mod api;
/// What the operator's commands ask with.
pub mod client;
/// Tokens of humans at the admin address.
mod bearer;
/// Asks the fleet, and tells the auditors.
mod desk;
/// The admin socket's place in the file system.
mod socket;

/// A configuration that takes the place of another.
pub struct Swapped {
    pub version: String,
    /// Each worker answers when it judges by the new tables.
    pub applied: Vec<oneshot::Receiver<()>>,
}

/// The running gateway, as the admin endpoints see it.
pub trait Fleet: Send + Sync {
    /// Asks every worker for its state. A worker that is gone drops its sender.
    fn reports(&self) -> Vec<oneshot::Receiver<WorkerReport>>;

    /// Tells every worker to end the sessions of `scope`; each answers with how many it ended.
    fn kill(&self, scope: &KillScope) -> Vec<oneshot::Receiver<u64>>;

    /// Reads the configuration anew and swaps it whole, or not at all and says why, one diagnostic
    /// a line. Blocks; never called on an async thread.
    fn reload(&self) -> Result<Swapped, Vec<String>>;

    fn recorder(&self) -> RecorderStats;

    fn key_sets(&self) -> Vec<KeySetState>;

    fn node(&self) -> NodeView;
}
