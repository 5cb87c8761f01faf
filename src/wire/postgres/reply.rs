//! What Narrows says to a bot in PostgreSQL's own form: refusals and last words.
//! Knows texts and codes, not when they are due.

use std::sync::Arc;

use crate::model::session::Leg;
use crate::wire::postgres::encode::{self, Severity};
use crate::wire::{Farewell, Refusal, RefusalKind};

/// The server's own code for what its grants forbid, and ours for what a policy does.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// An error in full. Codes are chosen so that no driver retries by itself (no 40001, no 40P01).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub code: &'static str,
    pub message: Arc<str>,
    pub hint: Option<Arc<str>>,
}

impl Words {
    pub fn new(code: &'static str, message: &str) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub fn refusal(refusal: &Refusal) -> Self {
        let code = match refusal.kind {
            RefusalKind::Policy => INSUFFICIENT_PRIVILEGE,
            RefusalKind::TooLarge => "54000",
            // The server's code for its own configured limits, such as those of a role's temporary files.
            RefusalKind::TooSoon => "53400",
            RefusalKind::Unsupported => "0A000",
            RefusalKind::Cancelled => "57014",
        };
        Self { code, message: refusal.message.clone(), hint: refusal.hint.clone() }
    }

    /// What the server says to anything but the end of a failed transaction.
    pub fn failed_transaction() -> Self {
        Self::new(
            "25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
        )
    }

    /// Of a row that would have to be looked at whole.
    pub fn row_too_large() -> Self {
        Self::new("54000", "a row is too large to be searched for protected values")
            .hint("Select large columns last, or read them in parts by substr().")
    }

    /// Of an error of the target's that is too long to be looked at.
    pub fn too_long_to_show() -> Self {
        Self::new("54000", "the target's error is too long to be searched for protected values")
    }

    /// Why the target does not begin a session whose login it accepted, as far as the bot can do
    /// something about it.
    pub fn not_admitted(code: &str) -> Self {
        match code {
            "3D000" => Self::new("3D000", "the database does not exist"),
            "53300" => Self::new("53300", "the target has too many connections"),
            "57P03" => Self::new("57P03", "the target is starting or stopping"),
            _ => Self::farewell(Farewell::TargetLoginFailed),
        }
    }

    pub fn farewell(why: Farewell) -> Self {
        match why {
            Farewell::LoginRefused => Self::new("28P01", "the login is refused")
                .hint("Use a current token as the password, and the service account as the user."),
            Farewell::DatabaseNotAllowed => {
                Self::new(INSUFFICIENT_PRIVILEGE, "this connection does not open this database")
            }
            Farewell::TlsRequired => Self::new("28000", "this listener takes TLS only")
                .hint("Connect with sslmode=require or stricter."),
            Farewell::TooManySessions => Self::new("53300", "too many sessions"),
            Farewell::TargetUnreachable => Self::new("08006", "the target cannot be reached"),
            Farewell::TargetLoginFailed => Self::new("28000", "the target refused the connection")
                .hint("An operator finds the reason in the log."),
            Farewell::DeadlinePassed => Self::new("57P05", "the session took too long"),
            Farewell::Killed => Self::new("57P01", "the session was ended by an operator"),
            Farewell::Draining => Self::new("57P01", "the gateway is shutting down"),
            Farewell::RecordingFailed => {
                Self::new("53100", "the session cannot be recorded and was ended")
            }
            Farewell::ProtocolError(Leg::Downstream) => {
                Self::new("08P01", "the client broke the protocol")
            }
            Farewell::ProtocolError(Leg::Upstream) => {
                Self::new("08P01", "the target broke the protocol")
            }
            Farewell::Defect => Self::new("XX000", "the gateway failed; the session was ended"),
        }
    }

    /// Says the words; tells how many bytes they took.
    pub fn say(&self, severity: Severity, out: &mut Vec<u8>) -> u64 {
        encode::error(out, severity, self.code, &self.message, self.hint.as_deref())
    }
}
