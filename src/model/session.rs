//! Sessions: one principal's authenticated use of one target, and the exchanges in it.

use std::borrow::Cow;

use uuid::Uuid;

use crate::model::hex::unhex;

/// Time-ordered (UUIDv7), so that recordings sort by their start.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// An id for a session that starts at `unix_ns`.
    #[must_use]
    pub fn at(unix_ns: u64) -> Self {
        let stamp = uuid::Timestamp::from_unix(
            uuid::NoContext,
            unix_ns / 1_000_000_000,
            u32::try_from(unix_ns % 1_000_000_000).unwrap_or(0),
        );
        Self(Uuid::new_v7(stamp))
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// One of a session's two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// The bot's side.
    Downstream,
    /// The target's side.
    Upstream,
}

impl Leg {
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Downstream => Self::Upstream,
            Self::Upstream => Self::Downstream,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
        }
    }
}

/// Why a session ended. Written to the recording and to the audit event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The bot said goodbye in the protocol's way.
    BotFinished,
    /// The bot's connection ended without a goodbye.
    BotVanished,
    TargetClosed,
    TargetUnreachable,
    TargetLoginFailed,
    LoginRefused,
    /// A cancel request's connection, which carries nothing else.
    CancelDelivered,
    /// The bot broke the protocol.
    BotProtocolError,
    /// The target broke the protocol.
    TargetProtocolError,
    TlsFailed,
    /// A phase took longer than its deadline.
    DeadlinePassed,
    /// A limit on sessions or memory.
    LimitReached,
    Killed,
    Draining,
    RecordingFailed,
    /// A defect of ours; the session was closed, not opened.
    Defect,
}

impl CloseReason {
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BotFinished => "bot_finished",
            Self::BotVanished => "bot_vanished",
            Self::TargetClosed => "target_closed",
            Self::TargetUnreachable => "target_unreachable",
            Self::TargetLoginFailed => "target_login_failed",
            Self::LoginRefused => "login_refused",
            Self::CancelDelivered => "cancel_delivered",
            Self::BotProtocolError => "bot_protocol_error",
            Self::TargetProtocolError => "target_protocol_error",
            Self::TlsFailed => "tls_failed",
            Self::DeadlinePassed => "deadline_passed",
            Self::LimitReached => "limit_reached",
            Self::Killed => "killed",
            Self::Draining => "draining",
            Self::RecordingFailed => "recording_failed",
            Self::Defect => "defect",
        }
    }
}

/// One request and all of its answer, as recordings and `tail` show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Exchange {
    /// Counts from 1 within the session.
    pub number: u64,
    /// The command's text, whole or its first bytes; see `text_bytes`.
    pub text: String,
    /// Length of the whole text; larger than `text.len()` means that `text` is its beginning and
    /// the wire run before this record holds the rest.
    pub text_bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parameters: Vec<Parameter>,
    /// Where values in the text or the parameters were written over: a keyed digest of the exact
    /// text, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exact: Option<String>,
    pub fingerprint: u64,
    /// `allow` or `deny`; `hold` if the session ended while the command waited.
    pub verdict: String,
    /// `policy/rule`.
    pub rule: String,
    /// `policy/rule` that a policy in observe mode would have denied by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed: Option<String>,
    pub effects: Vec<String>,
    pub rows: u64,
    /// Bytes of the answer, as delivered to the bot.
    pub answer_bytes: u64,
    /// From the command's last byte to the answer's last byte.
    pub latency_us: u64,
    /// The error code that ended the exchange, in the protocol's own terms.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The target's completion word, such as `SELECT 1`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<String>,
    /// The request for approval that it waited as, and what came of that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approval: Option<String>,
}

/// A bound parameter's value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parameter {
    Null,
    Text(String),
    /// Lower-case hexadecimal.
    Binary(String),
    /// Longer than is kept here; its bytes stand in the wire run. Length in bytes.
    Long(u64),
}

impl Parameter {
    /// As it stood on the wire; `None` where there is nothing, or nothing is kept of it.
    #[must_use]
    pub fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text.as_bytes())),
            Self::Binary(digits) => Some(Cow::Owned(unhex(digits))),
            Self::Null | Self::Long(_) => None,
        }
    }

    /// True if there is a value and nothing of it is kept.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        matches!(self, Self::Long(_))
    }
}

/// What a session adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    pub exchanges: u64,
    pub denied: u64,
    pub rows: u64,
    /// Sent to the bot, refusals included.
    pub downstream_bytes: u64,
    /// Sent to the target.
    pub upstream_bytes: u64,
}

impl Totals {
    pub const fn count_sent(&mut self, leg: Leg, bytes: usize) {
        match leg {
            Leg::Downstream => self.downstream_bytes += bytes as u64,
            Leg::Upstream => self.upstream_bytes += bytes as u64,
        }
    }
}

/// Which sessions an operator ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillScope {
    Session(SessionId),
    Account(String),
    Target(String),
    All,
}

impl std::fmt::Display for KillScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session(id) => write!(f, "session {id}"),
            Self::Account(name) => write!(f, "account {name}"),
            Self::Target(name) => write!(f, "target {name}"),
            Self::All => f.write_str("all sessions"),
        }
    }
}
