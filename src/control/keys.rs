//! Keeps issuers' key sets fresh: at start, before they grow old, and when a worker misses a key.
//! An issuer that is down keeps its last keys; the gate bounds for how long they are believed.
//! Discovery is read here and not by the crate that reads the keys, since that one demands
//! members (`authorization_endpoint`) which issuers of machine identities do not publish.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openidconnect::url::Url;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::control::fetch::{Answer, FetchError, Fetcher};
use crate::identity::{
    Issuer, KeyRing, KeySet, KeySetError, KeySlot, KeySource, UrlError, is_loopback,
    trustworthy_url,
};
use crate::limits::{
    ISSUER_ANSWER_BYTES_MAX, KEYS_REFRESH_S, KEYS_REFRESH_S_MAX, KEYS_REFRESH_S_MIN,
    KEYS_RETRY_MS_MIN,
};
use crate::model::time::unix_time;
use crate::observe::log::chain;

/// How often issuers are asked.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Where the issuer does not say, and for files.
    pub refresh: Duration,
    /// Bounds for what the issuer says.
    pub refresh_min: Duration,
    pub refresh_max: Duration,
    /// Between two fetches, whoever asks for them.
    pub gap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(KEYS_REFRESH_S),
            refresh_min: Duration::from_secs(KEYS_REFRESH_S_MIN),
            refresh_max: Duration::from_secs(KEYS_REFRESH_S_MAX),
            gap: Duration::from_millis(KEYS_RETRY_MS_MIN),
        }
    }
}

/// Why an issuer's keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is over {ISSUER_ANSWER_BYTES_MAX} bytes", path.display())]
    FileTooLarge { path: PathBuf },
    #[error("cannot fetch the discovery document")]
    Discovery(#[source] FetchError),
    #[error("the discovery document is not one")]
    NotADocument(#[source] serde_json::Error),
    #[error("the discovery document is that of another issuer")]
    OtherIssuer,
    #[error("the issuer's URL cannot be used")]
    IssuerUrl(#[source] UrlError),
    #[error("the URL of the keys cannot be used")]
    KeysUrl(#[source] UrlError),
    #[error("cannot fetch the keys")]
    Keys(#[source] FetchError),
    #[error("the keys cannot be read")]
    KeySet(#[source] KeySetError),
}

/// Keeps all issuers of the ring fresh until it is dropped.
pub async fn keep_fresh(ring: Arc<KeyRing>, pace: Pace) {
    let mut tasks = JoinSet::new();
    for slot in ring.slots() {
        tasks.spawn(keep_slot_fresh(Arc::clone(slot), pace));
    }
    while tasks.join_next().await.is_some() {}
}

/// Fetches every issuer's keys once, all at the same time. What failed shows in the ring's status.
pub async fn fetch_all(ring: &KeyRing) {
    let mut tasks = JoinSet::new();
    for slot in ring.slots() {
        let slot = Arc::clone(slot);
        tasks.spawn(async move { refresh(&slot).await });
    }
    while tasks.join_next().await.is_some() {}
}

async fn keep_slot_fresh(slot: Arc<KeySlot>, pace: Pace) {
    loop {
        let asked = Instant::now();
        let next = match refresh(&slot).await {
            Ok(Some(keep)) => keep.clamp(pace.refresh_min, pace.refresh_max),
            Ok(None) => pace.refresh,
            Err(_) => pace.gap,
        };
        // A missed key brings the next fetch forward, but never nearer than the gap.
        let _ = tokio::time::timeout_at(asked + next, slot.wished()).await;
        tokio::time::sleep_until(asked + pace.gap).await;
    }
}

/// Replaces the slot's keys, or notes why not. Gives back for how long the issuer would keep them.
async fn refresh(slot: &KeySlot) -> Result<Option<Duration>, RefreshError> {
    let issuer = slot.issuer();
    match fetch_keys(issuer).await {
        Ok((keys, keep)) => {
            tracing::debug!(issuer = &*issuer.name, keys = keys.len(), "keys fetched");
            slot.install(keys);
            Ok(keep)
        }
        Err(error) => {
            let reason = chain(&error);
            // Said once, not at every attempt while an issuer is down.
            if slot.status().error.as_ref() != Some(&reason) {
                tracing::warn!(issuer = &*issuer.name, reason, "keys could not be fetched");
            }
            slot.fetch_failed(unix_time().as_secs(), reason);
            Err(error)
        }
    }
}

async fn fetch_keys(issuer: &Issuer) -> Result<(KeySet, Option<Duration>), RefreshError> {
    let answer = match &issuer.keys {
        KeySource::File(path) => read_file(path)?,
        KeySource::Uri(uri) => {
            let url = trustworthy_url(uri).map_err(RefreshError::KeysUrl)?;
            let fetcher = Fetcher::new(issuer.ca.as_deref()).map_err(RefreshError::Keys)?;
            fetcher.get(&url).await.map_err(RefreshError::Keys)?
        }
        KeySource::Discovery => discover(issuer).await?,
    };
    let keys = KeySet::parse(&answer.body, unix_time().as_secs()).map_err(RefreshError::KeySet)?;
    Ok((keys, answer.keep))
}

/// OpenID Connect Discovery 1.0, section 4: the document names its issuer and the keys' URL.
async fn discover(issuer: &Issuer) -> Result<Answer, RefreshError> {
    #[derive(Deserialize)]
    struct Document {
        issuer: String,
        jwks_uri: String,
    }
    let document_url =
        format!("{}/.well-known/openid-configuration", issuer.url.trim_end_matches('/'));
    let document_url = trustworthy_url(&document_url).map_err(RefreshError::IssuerUrl)?;
    let fetcher = Fetcher::new(issuer.ca.as_deref()).map_err(RefreshError::Discovery)?;
    let answer = fetcher.get(&document_url).await.map_err(RefreshError::Discovery)?;
    let document: Document =
        serde_json::from_slice(&answer.body).map_err(RefreshError::NotADocument)?;
    if document.issuer != issuer.url {
        return Err(RefreshError::OtherIssuer);
    }
    let keys_url = keys_url(&document.jwks_uri, &document_url).map_err(RefreshError::KeysUrl)?;
    fetcher.get(&keys_url).await.map_err(RefreshError::Keys)
}

/// An issuer elsewhere must not make us ask services of our own machine.
fn keys_url(text: &str, document_url: &Url) -> Result<Url, UrlError> {
    let url = trustworthy_url(text)?;
    if is_loopback(&url) && !is_loopback(document_url) {
        return Err(UrlError::Insecure);
    }
    Ok(url)
}

fn read_file(path: &Path) -> Result<Answer, RefreshError> {
    let failed = |source| RefreshError::File { path: path.to_owned(), source };
    let about = std::fs::metadata(path).map_err(failed)?;
    if about.len() > ISSUER_ANSWER_BYTES_MAX as u64 {
        return Err(RefreshError::FileTooLarge { path: path.to_owned() });
    }
    let body = std::fs::read(path).map_err(failed)?;
    Ok(Answer { body, keep: None })
}
