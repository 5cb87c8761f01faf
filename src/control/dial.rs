//! Names to addresses, secret sources to secrets: what a worker needs to connect and may not wait
//! for itself.

use std::net::SocketAddr;
use std::time::Duration;

use crate::identity::lease::Lessor;
use crate::limits;
use crate::model::target::{Connection, DialError, Dialled, Target};

/// Where `target` answers, and the secret of `connection`.
pub async fn dial(
    lessor: &Lessor,
    target: &Target,
    connection: Option<&Connection>,
) -> Result<Dialled, DialError> {
    let addresses = resolve(&target.host, target.port).await?;
    let source = connection.and_then(|connection| connection.credential.password.as_ref());
    let password = match source {
        None => None,
        Some(source) => {
            let leased = lessor.fetch(source).await;
            Some(leased.map_err(|source| DialError::Lease { source: Box::new(source) })?)
        }
    };
    Ok(Dialled { addresses, password })
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let within = Duration::from_millis(limits::RESOLVE_MS_MAX);
    match tokio::time::timeout(within, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.take(limits::TARGET_ADDRESSES_MAX).collect()),
        Ok(Err(source)) => Err(DialError::Resolve { host: host.to_owned(), source }),
        Err(_elapsed) => Err(DialError::ResolvedTooLate { host: host.to_owned() }),
    }
}
