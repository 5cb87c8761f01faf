//! Audit events in the house's own words. `observe` renders them for the outside.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::approval::ApprovalId;
use crate::model::identity::Principal;
use crate::model::session::{CloseReason, Exchange, SessionId, Totals};
use crate::model::target::TargetName;

/// One thing that an auditor wants to know.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    pub unix_ns: u64,
    pub peer: Option<SocketAddr>,
    pub target: Option<TargetName>,
    pub session: Option<SessionId>,
    pub principal: Option<Arc<Principal>>,
    pub database: Option<Arc<str>>,
    pub what: What,
}

impl AuditEvent {
    /// What concerns the gateway as a whole, and no session.
    #[must_use]
    pub const fn of_gateway(unix_ns: u64, what: What) -> Self {
        Self {
            unix_ns,
            peer: None,
            target: None,
            session: None,
            principal: None,
            database: None,
            what,
        }
    }
}

#[derive(Clone, Debug)]
pub enum What {
    LoginRefused {
        /// User name as the bot gave it.
        user: String,
        /// The distinguishable reason; the bot sees one fixed text instead.
        reason: String,
    },
    SessionStarted,
    SessionEnded {
        reason: CloseReason,
        totals: Totals,
    },
    Statement(Box<Exchange>),
    /// Statements of a connection that were refused for being too many a minute, and became no event
    /// of their own.
    RefusalsUntold {
        count: u64,
    },
    CancelRequested,
    /// A command waits for a human.
    ApprovalAsked {
        id: ApprovalId,
        rule: String,
    },
    /// `by` names the human.
    ApprovalDecided {
        id: ApprovalId,
        decision: &'static str,
        by: String,
        reason: Option<String>,
    },
    /// An approval let its command through.
    ApprovalUsed {
        id: ApprovalId,
    },
    /// None of those who should hear of a request could be told.
    ApprovalUnheard {
        id: ApprovalId,
    },
    /// `by` names the operator's socket peer, or the signal.
    ConfigReloaded {
        version: String,
        by: String,
    },
    ReloadRefused {
        reason: String,
        by: String,
    },
    /// A database was read, and has no column that a mask's pattern matches.
    MaskUnmatched {
        rule: String,
        pattern: String,
        /// The pattern speaks of one table; others look for columns wherever they may be.
        names_a_table: bool,
    },
    RecordingFailed {
        reason: String,
    },
    RecordingRestored,
    /// An operator ended sessions; `by` names the operator's socket peer.
    Killed {
        by: String,
        scope: String,
    },
    /// Events that could not be queued since the last one that could.
    EventsLost {
        count: u64,
    },
}
