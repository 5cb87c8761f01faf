//! Catalogues of the databases that sessions use: read from the servers themselves, read again when
//! somebody meets what is unknown and every now and then, forgotten when nobody uses them. Knows
//! when to read; what a column's protection is, the caller says.

mod connect;
mod keep;
mod read;
mod views;

use std::sync::Arc;
use std::time::Duration;

use crate::identity::lease::Lessor;
use crate::io::tls::TlsConfigError;
use crate::limits::{CATALOGUE_CONNECT_MS_MAX, CATALOGUE_READ_MS_MAX};
use crate::mask::catalogue::Raw;
use crate::model::mask::Protection;
use crate::model::target::{Connection, DialError, Target};

pub use keep::{Catalogues, Pace};

/// Which columns are protected: schema, relation, column.
pub type Rules = Arc<dyn Fn(&str, &str, &str) -> Option<Protection> + Send + Sync>;

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

/// Reads the catalogue of a place once.
pub async fn read_once(lessor: &Lessor, place: &Place) -> Result<Raw, ReadError> {
    Ok(read_again(lessor, place, &views::Learnt::default()).await?.0)
}

/// Which of `patterns` match no column of the place, `matches` being asked for pattern, schema,
/// relation and column.
pub async fn unmatched<'a, P>(
    lessor: &Lessor,
    place: &Place,
    patterns: &'a [P],
    matches: impl Fn(&P, &str, &str, &str) -> bool,
) -> Result<Vec<&'a P>, ReadError> {
    Ok(read_once(lessor, place).await?.unmatched(patterns, matches))
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
