//! What a bot reaches, and on what terms: targets, listeners and connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::identity::AccountName;
use crate::model::secret::Secret;

pub type TargetName = Arc<str>;
pub type PolicyName = Arc<str>;
pub type Labels = BTreeMap<String, String>;

/// The wire protocol that a target speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Postgres,
}

/// How the upstream leg is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamTls {
    /// Plain TCP. `narrows check` accepts it for loopback addresses and says so for others.
    Disable,
    /// TLS without checking who answers.
    Require,
    /// TLS with the chain checked against `ca` (system roots if absent) and the name against `name`.
    VerifyFull { ca: Option<PathBuf>, name: Option<String> },
}

/// A certificate and its key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Target {
    pub name: TargetName,
    pub protocol: Protocol,
    /// Host name or address literal; resolved by `control`, never on a worker.
    pub host: String,
    pub port: u16,
    pub tls: UpstreamTls,
    /// Client certificate shown to the target, for its `cert` authentication.
    pub client_cert: Option<KeyPairFiles>,
    pub labels: Arc<Labels>,
}

#[derive(Clone, Debug)]
pub struct Listener {
    pub target: TargetName,
    /// Address literal and port.
    pub bind: SocketAddr,
    /// `None` only on loopback: then bots cannot log in by token, since a token needs TLS.
    pub tls: Option<KeyPairFiles>,
}

/// Where an upstream secret comes from. The secret itself never stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    Vault(String),
    File(PathBuf),
    Env(String),
    /// Program and arguments; the secret is its standard output, one trailing newline removed.
    Exec(Vec<String>),
}

#[derive(Clone, Debug)]
pub struct Credential {
    pub username: Arc<str>,
    /// `None` where the target trusts the network or a client certificate.
    pub password: Option<SecretSource>,
}

/// Which statements become audit events. Recordings always hold all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditStatements {
    All,
    /// All but plain reads.
    #[default]
    Changes,
    Denied,
}

/// A service account's registered use of a target.
#[derive(Clone, Debug)]
pub struct Connection {
    pub account: AccountName,
    pub target: TargetName,
    pub credential: Credential,
    /// Databases that may be opened; `None` leaves it to the credential.
    pub databases: Option<Arc<[String]>>,
    pub policies: Arc<[PolicyName]>,
    pub audit: AuditStatements,
    /// Most sessions at once, over all workers.
    pub sessions_max: Option<u32>,
    /// Most rows that the bot gets for one statement, or for one text of several.
    pub rows_max: Option<u64>,
    /// Most bytes of the answer to one statement, or to one text of several.
    pub bytes_max: Option<u64>,
    /// Most masked cells in the answer to one statement, or to one text of several.
    pub masked_max: Option<u64>,
    /// Most statements a minute, over all sessions and workers.
    pub statements_per_minute_max: Option<u32>,
}

impl Connection {
    /// `account@target`, how logs, recordings and the CLI name a connection.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}@{}", self.account, self.target)
    }

    #[must_use]
    pub fn opens(&self, database: &str) -> bool {
        self.databases.as_ref().is_none_or(|list| list.iter().any(|open| open == database))
    }
}

/// Where a target answers, and what to show it there.
pub struct Dialled {
    pub addresses: Vec<SocketAddr>,
    /// `None` where the target asks for no password.
    pub password: Option<Secret<Vec<u8>>>,
}

/// Why a target cannot be dialled. For our log; the bot is told only that it cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{host} could not be resolved")]
    Resolve { host: String, source: std::io::Error },
    #[error("{host} was not resolved in time")]
    ResolvedTooLate { host: String },
    #[error("the credential could not be leased")]
    Lease { source: Box<dyn std::error::Error + Send + Sync> },
}
