//! Sends news of requests to whoever is configured to hear of them, each receiver on its own: one
//! that fails or hangs holds up none of the others. Knows when to try again; not what is said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use tokio::task::JoinSet;

use crate::config::{Notifier, NotifierKind, NotifierUrl};
use crate::control::approvals::{Approvals, Due, Outcome};
use crate::control::fetch::{FetchError, Fetcher, Patience};
use crate::identity::lease::{LeaseError, Lessor};
use crate::identity::{UrlError, trustworthy_url};
use crate::limits::{
    NEWS_AGAIN_MS, NEWS_ANSWER_BYTES_MAX, NEWS_ANSWER_MS_MAX, NEWS_RETRY_MS, NEWS_UNDER_WAY_MAX,
};
use crate::model::time::unix_time;
use crate::observe::log::chain;

mod message;

use message::MessageError;

/// When a message is tried again, and for how long an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub retry_ms: [u64; 4],
    pub answer_ms_max: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { retry_ms: NEWS_RETRY_MS, answer_ms_max: NEWS_ANSWER_MS_MAX }
    }
}

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("its secret is not to be had")]
    Secret(#[from] LeaseError),
    #[error("its URL cannot be used")]
    Url(#[from] UrlError),
    #[error("its URL is not text")]
    UrlText(#[from] std::string::FromUtf8Error),
    #[error("the message cannot be made")]
    Message(#[from] MessageError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer's status is {status}")]
    Status { status: u16 },
}

/// Sends what is due until it is dropped.
pub async fn keep_telling(approvals: Arc<Approvals>, lessor: Arc<Lessor>, pace: Pace) {
    let mut under_way: HashMap<Arc<str>, usize> = HashMap::new();
    let mut sending = JoinSet::new();
    loop {
        let full = NEWS_UNDER_WAY_MAX;
        let counts = under_way.clone();
        let kept = Arc::clone(&approvals);
        let taken = tokio::task::spawn_blocking(move || {
            let room = |name: &str| full.saturating_sub(counts.get(name).copied().unwrap_or(0));
            kept.take_news(NEWS_AGAIN_MS, room)
        });
        match taken.await {
            Ok(Ok(taken)) => {
                for due in taken {
                    *under_way.entry(Arc::clone(&due.notifier)).or_default() += 1;
                    let (approvals, lessor) = (Arc::clone(&approvals), Arc::clone(&lessor));
                    sending.spawn(async move { tell(due, &approvals, &lessor, pace).await });
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "the outbox cannot be read"),
            Err(_panicked) => tracing::error!("the outbox cannot be read: a defect"),
        }
        tokio::select! {
            () = approvals.news() => {}
            Some(told) = sending.join_next() => {
                if let Ok(name) = told && let Some(count) = under_way.get_mut(&name) {
                    *count = count.saturating_sub(1);
                }
            }
            () = until_due(&approvals) => {}
        }
    }
}

/// Returns when a message is due that is not due yet.
async fn until_due(approvals: &Arc<Approvals>) {
    let kept = Arc::clone(approvals);
    let next = tokio::task::spawn_blocking(move || {
        let next = kept.next_news_ms().ok().flatten();
        next.map(|ms| ms.saturating_sub(kept.now_ms()))
    });
    let wait_ms = next.await.ok().flatten().unwrap_or(IDLE_MS);
    tokio::time::sleep(Duration::from_millis(wait_ms.clamp(BREATH_MS, IDLE_MS))).await;
}

/// Sends one message and says what became of it. Gives back the receiver's name.
async fn tell(due: Due, approvals: &Arc<Approvals>, lessor: &Lessor, pace: Pace) -> Arc<str> {
    let name = Arc::clone(&due.notifier);
    let outcome = match approvals.notifier(&name) {
        // Not configured any longer.
        None => Outcome::Lost,
        Some(_) if due.until_ms <= approvals.now_ms() => Outcome::Lost,
        Some(notifier) => match send(&due, &notifier, lessor, pace).await {
            Ok(()) => Outcome::Sent,
            Err(error) => {
                let outcome = after(&due, pace, approvals.now_ms());
                let (error, message) = (chain(&error), &due.id);
                tracing::warn!(notifier = &*name, message, error, "a message did not arrive");
                outcome
            }
        },
    };
    let approvals = Arc::clone(approvals);
    let _settled = tokio::task::spawn_blocking(move || approvals.settle_news(&due, outcome)).await;
    name
}

async fn send(
    due: &Due,
    notifier: &Notifier,
    lessor: &Lessor,
    pace: Pace,
) -> Result<(), SendError> {
    let url = match &notifier.url {
        NotifierUrl::Plain(url) => url.clone(),
        NotifierUrl::Secret(source) => {
            String::from_utf8(lessor.fetch(source).await?.with(Vec::clone))?
        }
    };
    let url = trustworthy_url(&url)?;
    let mut request = Request::post(url.as_str()).header(CONTENT_TYPE, "application/json");
    let body = match notifier.kind {
        NotifierKind::Slack => message::slack(&due.body)?,
        NotifierKind::Webhook => due.body.clone(),
    };
    if let Some(source) = &notifier.secret {
        let secret = lessor.fetch(source).await?;
        let now_s = unix_time().as_secs();
        let signature = secret.with(|secret| message::signature(secret, &due.id, now_s, &body))?;
        request = request
            .header("webhook-id", &due.id)
            .header("webhook-timestamp", now_s)
            .header("webhook-signature", signature);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(FetchError::Request)?;
    let patience = Patience { bytes_max: NEWS_ANSWER_BYTES_MAX, ms_max: pace.answer_ms_max };
    let answer = Fetcher::new(notifier.ca.as_deref())?.ask(request, patience).await?;
    let status = answer.status();
    // A redirect is no arrival: what it leads to was not configured.
    if status.is_success() { Ok(()) } else { Err(SendError::Status { status: status.as_u16() }) }
}

/// What a failure leads to.
fn after(due: &Due, pace: Pace, now_ms: u64) -> Outcome {
    let step = usize::try_from(due.attempts).unwrap_or(usize::MAX).min(pace.retry_ms.len() - 1);
    let wait_ms = pace.retry_ms.get(step).copied().unwrap_or(u64::MAX);
    let at_ms = now_ms.saturating_add(jittered(wait_ms, &due.id, due.attempts));
    if at_ms < due.until_ms { Outcome::Again { at_ms } } else { Outcome::Lost }
}

/// A fifth sooner or later, by the message's own number.
fn jittered(wait_ms: u64, id: &str, attempts: u32) -> u64 {
    use std::hash::BuildHasher;
    let dice = foldhash::fast::FixedState::default().hash_one((id, attempts));
    let fifth = wait_ms / 5;
    wait_ms - fifth + dice % (2 * fifth + 1)
}

const IDLE_MS: u64 = 60_000;
/// Between two looks at the outbox that nothing asked for.
const BREATH_MS: u64 = 50;

#[cfg(test)]
mod tests;
