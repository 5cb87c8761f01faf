//! Files to model types. Strict: what is not known, not resolved or not possible is a diagnostic
//! with file, line and what to do; all of them are reported at once. Opens nothing but files.

mod access;
mod load;
mod node;
mod notifier;
mod policy;
mod section;
mod source;
mod target;
mod trial;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::identity::vault::Vault;
use crate::identity::{Account, Group, Issuer};
use crate::judge::policy::Library;
use crate::model::recording::{Durability, OnFailure};
use crate::model::target::{Connection, KeyPairFiles, Listener, PolicyName, SecretSource, Target};
use crate::observe::log::LogFormat;

pub use crate::model::units::{DURATION_HINT, UnitError, duration_ms};
pub use load::{load, load_text, vault_of};
pub use target::{VAULT_NAME_HINT, is_vault_name};
pub use trial::{Case, load_cases, load_policies, policies_in};

/// A whole configuration, every name in it resolved.
#[derive(Debug)]
pub struct Config {
    pub node: Node,
    pub recording: Recording,
    pub issuers: Vec<Arc<Issuer>>,
    pub accounts: Vec<Account>,
    pub targets: Vec<Arc<Target>>,
    pub listeners: Vec<Listener>,
    pub connections: Vec<Arc<Connection>>,
    pub policies: Arc<Library>,
    /// File and line of rules and masks, by policy and id.
    pub rule_places: BTreeMap<(PolicyName, String), (PathBuf, usize)>,
    /// Who may decide on what is held.
    pub groups: Vec<Group>,
    /// Who hears of it.
    pub notifiers: Vec<Notifier>,
    pub sinks: Vec<Sink>,
    /// Beginning of the SHA-256 over all files, in the order in which they were read.
    pub version: String,
    /// Every file that was read, the main one first.
    pub files: Vec<PathBuf>,
    /// What works and is probably not meant.
    pub warnings: Vec<Diagnostic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub state_dir: PathBuf,
    pub workers: Workers,
    pub vault: Vault,
    pub admin: Admin,
    pub driver: DriverChoice,
    pub log: Log,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One a core.
    Auto,
    Exactly(u16),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub socket: PathBuf,
    /// For `/metrics`, and for reviewers with tokens.
    pub bind: Option<SocketAddr>,
    /// Without it `bind` is on loopback.
    pub tls: Option<KeyPairFiles>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverChoice {
    Auto,
    Uring,
    Epoll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    pub durability: Durability,
    pub on_failure: OnFailure,
    /// A segment is sealed when it has grown to this.
    pub segment_bytes: u64,
    pub dir: PathBuf,
}

/// Where news of requests for approval goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notifier {
    pub name: Arc<str>,
    pub kind: NotifierKind,
    pub url: NotifierUrl,
    /// Signs the messages.
    pub secret: Option<SecretSource>,
    /// Certificates to trust, instead of the system's.
    pub ca: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifierKind {
    /// Standard Webhooks.
    Webhook,
    /// An incoming webhook of Slack.
    Slack,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifierUrl {
    Plain(String),
    /// Whoever knows it may post there.
    Secret(SecretSource),
}

/// Where audit events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// A line of JSON an event.
    File { path: PathBuf },
}

/// What is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    pub file: PathBuf,
    /// Counts from 1; 0 stands for the file as a whole.
    pub line: usize,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
