//! Catalogues of the databases that sessions use: read from the servers themselves, read again when
//! somebody meets what is unknown and every now and then, forgotten when nobody uses them. Knows
//! when to read, and whom to tell of masks that match nothing there; what a column's protection is,
//! the caller says.

pub(in crate::control) mod connect;
mod keep;
mod read;
mod tell;
mod views;

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::control::catalogue::tell::Unmatched;
use crate::identity::lease::Lessor;
use crate::io::tls::TlsConfigError;
use crate::judge::policy::Masks;
use crate::limits::{CATALOGUE_CONNECT_MS_MAX, CATALOGUE_READ_MS_MAX};
use crate::mask::catalogue::{Catalogue, Raw};
use crate::model::mask::Protection;
use crate::model::target::{Connection, DialError, Target};

pub use keep::{Catalogues, Pace};

/// Which columns are protected.
#[derive(Clone)]
pub struct Rules {
    protection: Arc<Protects>,
    /// Whose patterns ought to match something.
    masks: Option<Arc<Masks>>,
}

/// Schema, relation, column.
type Protects = dyn Fn(&str, &str, &str) -> Option<Protection> + Send + Sync;

impl Rules {
    /// Whatever `protection` says; no pattern of it is known.
    pub fn by(
        protection: impl Fn(&str, &str, &str) -> Option<Protection> + Send + Sync + 'static,
    ) -> Self {
        Self { protection: Arc::new(protection), masks: None }
    }

    #[must_use]
    pub fn of(masks: Arc<Masks>) -> Self {
        let asked = Arc::clone(&masks);
        let protection = move |schema: &str, relation: &str, column: &str| {
            asked.column(schema, relation, column)
        };
        Self { masks: Some(masks), ..Self::by(protection) }
    }

    /// What is known of a database that was read.
    #[must_use]
    pub fn apply(&self, raw: &Raw) -> Catalogue {
        Catalogue::build(raw, &*self.protection)
    }

    fn unmatched(&self, raw: &Raw) -> Vec<Unmatched> {
        let patterns = self.masks.iter().flat_map(|masks| masks.patterns());
        patterns.filter(|it| !it.matches_any(raw.columns())).map(Unmatched::from).collect()
    }
}

/// A database, as a connection of policy reaches it.
#[derive(Clone)]
pub struct Place {
    pub connection: Arc<Connection>,
    pub target: Arc<Target>,
    pub database: Arc<str>,
}

/// Why a catalogue could not be read. For our log; sessions only see that it is not known.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the target cannot be reached")]
    Unreachable { source: std::io::Error },
    #[error("TLS towards the target cannot be set up")]
    Tls(#[from] TlsConfigError),
    #[error("the target refused")]
    Server(#[from] tokio_postgres::Error),
    #[error("it was not done within {} ms", most.as_millis())]
    TooLate { most: Duration },
    #[error("the database has more than {most} {what}")]
    TooMany { what: &'static str, most: usize },
}

impl ReadError {
    /// The target's other databases may be read all the same.
    #[must_use]
    pub fn concerns_database_alone(&self) -> bool {
        match self {
            Self::Server(error) => error.code().is_some_and(|code| {
                [SqlState::INVALID_CATALOG_NAME, SqlState::INSUFFICIENT_PRIVILEGE].contains(code)
            }),
            Self::TooMany { .. } => true,
            Self::Dial(_) | Self::Unreachable { .. } | Self::Tls(_) | Self::TooLate { .. } => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Dial(DialError::Resolve { .. } | DialError::ResolvedTooLate { .. }) => {
                "mend the target's `address`, or this machine's resolver"
            }
            Self::Dial(DialError::Lease { .. }) => {
                "put the secret where the connection's `credential` says, and run this as the user \
                 that serves"
            }
            Self::Unreachable { .. } => {
                "see that the target listens on its `address`, and that nothing between keeps this \
                 machine from it"
            }
            Self::Tls(_) => "mend the target's `tls`",
            Self::Server(error) => server_hint(error),
            Self::TooLate { .. } => "see whether the target is overloaded, or far; then try again",
            Self::TooMany { .. } => "while it has, bots get every column of it replaced",
        }
    }
}

fn server_hint(error: &tokio_postgres::Error) -> &'static str {
    let Some(code) = error.code() else {
        return "mend the target's `tls` if the two cannot agree on it; otherwise the target's log \
                says more";
    };
    if *code == SqlState::INVALID_CATALOG_NAME {
        "mend the connection's `databases`"
    } else if *code == SqlState::INVALID_PASSWORD
        || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
    {
        "mend the connection's `credential`, or the target's own rules of who may log in"
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        "grant the credential's role what it is refused, or mend the connection's `databases`"
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        "the target is full: bots cannot log in either; raise its limit, or try again"
    } else {
        "the target's log says more"
    }
}

/// Reads the catalogue of a place once.
pub async fn read_once(lessor: &Lessor, place: &Place) -> Result<Raw, ReadError> {
    Ok(read_again(lessor, place, &views::Learnt::default()).await?.0)
}

async fn read_again(
    lessor: &Lessor,
    place: &Place,
    before: &views::Learnt,
) -> Result<(Raw, views::Learnt), ReadError> {
    let reading = async {
        let most = Duration::from_millis(CATALOGUE_CONNECT_MS_MAX);
        let opening = connect::Session::open(lessor, place);
        let opened = tokio::time::timeout(most, opening).await;
        let session = opened.map_err(|_elapsed| ReadError::TooLate { most })??;
        let mut raw = read::read(&session.client).await?;
        let learnt = views::learn(&session.client, &mut raw, before).await;
        session.close().await;
        Ok((raw, learnt))
    };
    let most = Duration::from_millis(CATALOGUE_READ_MS_MAX);
    match tokio::time::timeout(most, reading).await {
        Ok(read) => read,
        Err(_elapsed) => Err(ReadError::TooLate { most }),
    }
}
