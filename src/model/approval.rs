//! Commands that wait for a human: on what terms, who asks for what, and what was decided.

use std::net::SocketAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::model::facts::Facts;
use crate::model::identity::Principal;
use crate::model::session::{Parameter, SessionId};
use crate::model::target::{Connection, Target, TargetName};

/// Names a request for approval: `apr_` and 32 hexadecimal digits that sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApprovalId(pub Uuid);

impl ApprovalId {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        Uuid::try_parse(digits).ok().map(Self)
    }
}

impl std::fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}", self.0.simple())
    }
}

const PREFIX: &str = "apr_";

/// The terms on which a rule holds commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldTerms {
    /// Who may decide. Empty: whoever operates the gateway.
    pub reviewers: Arc<[Reviewer]>,
    /// How many of them must approve. One who rejects is enough.
    pub quorum: u16,
    /// How long a request stands for them to decide.
    pub stands_ms: u64,
    /// How long the bot is kept waiting before it is told to come again; 0: not at all.
    pub wait_ms: u64,
    /// Inside an open transaction it waits too; otherwise it is refused there.
    pub in_transaction: bool,
}

impl HoldTerms {
    /// What satisfied `others` may not be enough here.
    #[must_use]
    pub fn is_stricter_than(&self, others: &Self) -> bool {
        self.reviewers != others.reviewers
            || self.quorum > others.quorum
            || (others.in_transaction && !self.in_transaction)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reviewer {
    /// A local user, by name or number.
    User(String),
    /// A `[[group]]` of the configuration.
    Group(String),
}

impl Reviewer {
    /// Reads `user:NAME` or `group:NAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            (_, "") => None,
            ("user", name) => Some(Self::User(name.to_owned())),
            ("group", name) => Some(Self::Group(name.to_owned())),
            _ => None,
        }
    }
}

impl std::fmt::Display for Reviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

/// A command that waits.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    pub id: ApprovalId,
    /// What an approval is bound to: see `session::hold`.
    pub digest: [u8; 32],
    pub session: SessionId,
    /// Of the exchange in its session.
    pub exchange: u64,
    pub principal: Arc<Principal>,
    pub target: TargetName,
    pub database: Arc<str>,
    pub peer: SocketAddr,
    pub text: Arc<[u8]>,
    pub parameters: Vec<Parameter>,
    pub effects: Vec<&'static str>,
    /// `policy/rule`.
    pub rule: String,
    /// A transaction is open: what it has locked stays locked.
    pub in_transaction: bool,
    pub terms: Arc<HoldTerms>,
    pub unix_ns: u64,
    /// `None` where the session's settings may change what the text means.
    pub planning: Option<Planning>,
}

/// What an estimate of a command's rows needs beside its text.
#[derive(Clone, Debug)]
pub struct Planning {
    pub connection: Arc<Connection>,
    pub target: Arc<Target>,
    pub facts: Arc<Facts>,
}

/// What comes back to a session that holds a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request is on record and stands to be decided, under a number of its own or under that of
    /// an equal one.
    Filed {
        number: ApprovalId,
    },
    /// Used up by being told. `number` is that of the request which was approved.
    Approved {
        number: ApprovalId,
        by: String,
    },
    Rejected {
        by: String,
        reason: String,
    },
    /// Nobody can be asked, and why.
    Unavailable {
        reason: &'static str,
    },
}
