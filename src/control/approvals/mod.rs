//! Requests for approval: files them, lets humans decide, and tells the sessions that wait. Knows
//! who may decide; not how a session waits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::config::Notifier;
use crate::control::api::{ApprovalLine, ApprovalState, DecideRequest, Estimate};
use crate::identity::Rejection;
use crate::limits::{
    APPROVAL_HASH_DIGITS_MIN, APPROVALS_FORGET_EVERY_MS, APPROVALS_PENDING_MAX,
    APPROVALS_PER_ACCOUNT_MAX,
};
use crate::model::approval::{ApprovalId, Decision, HoldRequest};
use crate::model::event::{AuditEvent, What};
use crate::model::time::{Now, unix_ns};
use crate::observe::sink::EventQueue;

mod clock;
mod outbox;
mod people;
mod store;

use clock::Clock;
pub use outbox::Due;
pub use people::{Human, Known, People};
use store::Store;
pub use store::{Page, StoreError};

/// A session that waits: its place, by which it leaves, and how it is told. The call tells whether
/// it could be told.
pub struct Waiter {
    pub place: u128,
    pub tell: Box<dyn Fn(ApprovalId, Decision) -> bool + Send>,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Sent,
    Again { at_ms: u64 },
    Lost,
}

/// Why a decision does not count.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    #[error("there is no request {id}")]
    Unknown { id: String },
    #[error("the request is {}", state.word())]
    Settled { state: ApprovalState },
    #[error("{name} is not among its reviewers")]
    NotAReviewer { name: String },
    #[error("{name} stands behind the request: somebody else has to decide")]
    OwnRequest { name: String },
    #[error("{name} has approved it already")]
    Voted { name: String },
    #[error("the hash does not match: the request is another one than was looked at")]
    OtherHash,
    #[error(
        "an approval by a token needs the hash of what was looked at, {APPROVAL_HASH_DIGITS_MIN} digits of it"
    )]
    NoHash,
    #[error("a rejection needs a reason: the bot is told")]
    NoReason,
    #[error("the decision cannot be stored")]
    Store(#[from] StoreError),
}

pub struct Approvals {
    inner: Mutex<Inner>,
    people: ArcSwap<People>,
    notifiers: ArcSwap<Vec<Notifier>>,
    /// There may be news to send.
    news: Notify,
    events: EventQueue,
}

struct Inner {
    store: Store,
    clock: Clock,
    waiting: HashMap<String, Vec<Waiter>>,
    /// When old requests are looked for next.
    forget_at_ms: u64,
}

impl Approvals {
    /// Opens the store. Requests of an earlier process stand, and nobody waits for them.
    pub fn open(path: &Path, events: EventQueue) -> Result<Self, StoreError> {
        let mut clock = Clock::system();
        let store = Store::open(path, clock.now_ms())?;
        let inner = Inner { store, clock, waiting: HashMap::new(), forget_at_ms: 0 };
        let people = ArcSwap::from_pointee(People::default());
        Ok(Self {
            inner: Mutex::new(inner),
            people,
            notifiers: ArcSwap::default(),
            news: Notify::new(),
            events,
        })
    }

    pub fn set_people(&self, people: People) {
        self.people.store(Arc::new(people));
    }

    pub fn set_notifiers(&self, notifiers: Vec<Notifier>) {
        self.lock().store.notifiers = notifiers.iter().map(|one| Arc::clone(&one.name)).collect();
        self.notifiers.store(Arc::new(notifiers));
    }

    /// A command waits. It runs at once where an equal one has been approved and was not run yet.
    pub fn file(&self, request: &HoldRequest, waiter: Waiter) {
        let inner = &mut *self.lock();
        if let Err(error) = inner.file(request, waiter) {
            tracing::error!(%error, "a request for approval cannot be stored");
        }
        self.news.notify_one();
    }

    /// Whether the request stands under its own number and nothing is known of its rows.
    pub fn lacks_estimate(&self, id: ApprovalId) -> bool {
        let line = self.lock().store.get(id).ok().flatten();
        line.is_some_and(|line| line.state == ApprovalState::Pending && line.estimate.is_none())
    }

    /// What the target's planner guesses of a request that still waits.
    pub fn set_estimate(&self, id: ApprovalId, estimate: Estimate) {
        let inner = &mut *self.lock();
        let annotated = inner.store.get(id).and_then(|line| match line {
            Some(line) => inner.store.annotate(&ApprovalLine { estimate: Some(estimate), ..line }),
            None => Ok(()),
        });
        if let Err(error) = annotated {
            tracing::error!(%error, "an estimate cannot be stored");
        }
    }

    /// A session waits no more. With `withdraw` nobody is asked on its behalf any longer.
    pub fn leave(&self, id: ApprovalId, place: u128, withdraw: bool) {
        let inner = &mut *self.lock();
        if let Err(error) = inner.leave(id, place, withdraw) {
            tracing::error!(%error, "a request for approval cannot be withdrawn");
        }
        self.news.notify_one();
    }

    /// An approval reached nobody: whoever comes again within its time has it.
    pub fn take_back(&self, id: ApprovalId) {
        let inner = &mut *self.lock();
        if let Err(error) = inner.take_back(id) {
            tracing::error!(%error, "an approval cannot be taken back");
        }
    }

    /// What time alone brings about.
    pub fn tick(&self) {
        let inner = &mut *self.lock();
        let now_ms = inner.clock.now_ms();
        if let Err(error) = inner.forget(now_ms) {
            tracing::error!(%error, "old requests cannot be deleted");
        }
        match inner.store.expire(now_ms) {
            Ok(expired) => {
                for line in expired {
                    let reason = "nobody decided in time";
                    inner.tell_all(&line.id, &Decision::Unavailable { reason });
                }
            }
            Err(error) => tracing::error!(%error, "requests for approval cannot be read"),
        }
        self.news.notify_one();
    }

    /// What this human may look at, a page of it.
    pub fn list(&self, page: &Page, human: &Human) -> Result<Vec<ApprovalLine>, StoreError> {
        let people = self.people.load();
        self.lock().store.list(page, |line| people.may_see(line, human))
    }

    /// One request, if there is such a one and this human may look at it.
    pub fn show(&self, id: &str, human: &Human) -> Result<Option<ApprovalLine>, StoreError> {
        let Some(id) = ApprovalId::parse(id) else { return Ok(None) };
        let line = self.lock().store.get(id)?;
        Ok(line.filter(|line| self.people.load().may_see(line, human)))
    }

    /// A human's word. The line as it stands afterwards.
    pub fn decide(&self, asked: &DecideRequest, human: &Human) -> Result<ApprovalLine, Undecided> {
        let line = self.lock().decide(asked, human, &self.people.load())?;
        self.news.notify_one();
        let decision = match (asked.approve, line.state) {
            (false, _) => "rejected",
            (true, ApprovalState::Pending) => "seconded",
            (true, _) => "approved",
        };
        let what = What::ApprovalDecided {
            id: ApprovalId::parse(&line.id).unwrap_or(ApprovalId(uuid::Uuid::nil())),
            decision,
            by: human.name.clone(),
            reason: asked.reason.clone(),
        };
        // The queue counts what it cannot take.
        let _taken = self.events.offer(AuditEvent::of_gateway(unix_ns(), what));
        Ok(line)
    }

    /// Whether this human may ask for requests at all.
    pub fn is_reviewer(&self, human: &Human) -> bool {
        self.people.load().is_reviewer(human)
    }

    /// The human whom a token names.
    pub fn identify(&self, token: &[u8]) -> Result<Human, Rejection> {
        let now = Now { unix_ns: unix_ns(), mono_ns: 0 };
        self.people.load().identify(token, now)
    }

    /// Messages that are due, to be sent by whoever takes them; again after `again_ms`, should
    /// nothing be heard of them.
    pub fn take_news(
        &self,
        again_ms: u64,
        room: impl Fn(&str) -> usize,
    ) -> Result<Vec<Due>, StoreError> {
        let inner = &mut *self.lock();
        let now_ms = inner.clock.now_ms();
        inner.store.take(now_ms, now_ms.saturating_add(again_ms), room)
    }

    /// The time by which requests expire and messages are due: see `clock`.
    pub fn now_ms(&self) -> u64 {
        self.lock().clock.now_ms()
    }

    /// What has become of a message: it is tried again at that time, or never. Auditors hear of a
    /// request that nobody has heard of.
    pub fn settle_news(&self, due: &Due, outcome: Outcome) {
        let settled = match outcome {
            Outcome::Sent => self.lock().store.sent(due).map(|()| false),
            Outcome::Again { at_ms } => self.lock().store.postpone(due, at_ms).map(|()| false),
            Outcome::Lost => self.lock().store.lose(due),
        };
        match settled {
            Ok(false) => {}
            Ok(true) => {
                if let Some(id) = ApprovalId::parse(&due.request) {
                    let what = What::ApprovalUnheard { id };
                    let event = AuditEvent::of_gateway(unix_ns(), what);
                    let _taken = self.events.offer(event);
                }
            }
            Err(error) => tracing::error!(%error, "the outbox cannot be written"),
        }
        self.news.notify_one();
    }

    /// When the next message is due.
    pub fn next_news_ms(&self) -> Result<Option<u64>, StoreError> {
        self.lock().store.next_due_ms()
    }

    /// Returns once there may be news, since the last return.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    pub fn notifier(&self, name: &str) -> Option<Notifier> {
        self.notifiers.load().iter().find(|one| *one.name == *name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn file(&mut self, request: &HoldRequest, waiter: Waiter) -> Result<(), StoreError> {
        let filed = self.place(request);
        let decision = match &filed {
            Ok(decision) => decision.clone(),
            Err(_) => Decision::Unavailable { reason: "it cannot be asked for now" },
        };
        let number = match decision {
            Decision::Filed { number } => number,
            other @ (Decision::Approved { .. }
            | Decision::Rejected { .. }
            | Decision::Unavailable { .. }) => {
                (waiter.tell)(request.id, other);
                return filed.map(|_| ());
            }
        };
        let Some(mut line) = self.store.get(number)? else { return Ok(()) };
        match line.state {
            ApprovalState::Approved => {
                line.state = ApprovalState::Used;
                // Once: whoever comes second files anew.
                if self.change(&line, ApprovalState::Approved)? {
                    let by = approvers(&line);
                    (waiter.tell)(request.id, Decision::Approved { number, by });
                }
            }
            ApprovalState::Rejected => {
                let by = line.votes.last().map(|vote| vote.by.clone()).unwrap_or_default();
                let reason = line.reason.unwrap_or_default();
                (waiter.tell)(request.id, Decision::Rejected { by, reason });
            }
            ApprovalState::Pending => {
                (waiter.tell)(request.id, Decision::Filed { number });
                self.waiting.entry(line.id).or_default().push(waiter);
            }
            ApprovalState::Used | ApprovalState::Expired | ApprovalState::Cancelled => {}
        }
        Ok(())
    }

    /// Finds the request that this one equals and that still means something, or makes it one.
    fn place(&mut self, request: &HoldRequest) -> Result<Decision, StoreError> {
        let now = self.clock.now_ms();
        self.store.expire(now)?;
        if let Some(line) = self.store.newest(&request.digest)? {
            let stands = match line.state {
                ApprovalState::Pending | ApprovalState::Approved => true,
                // An answer was given: to ask again would be to ask until it is another one.
                ApprovalState::Rejected => line.expires_unix_ms > now,
                ApprovalState::Used | ApprovalState::Expired | ApprovalState::Cancelled => false,
            };
            if let (true, Some(number)) = (stands, ApprovalId::parse(&line.id)) {
                return Ok(Decision::Filed { number });
            }
        }
        let (of_account, in_all) = self.store.pending(&request.principal.account)?;
        if of_account >= APPROVALS_PER_ACCOUNT_MAX || in_all >= APPROVALS_PENDING_MAX {
            return Ok(Decision::Unavailable { reason: "too many of its kind wait already" });
        }
        self.store.insert(request, now)?;
        Ok(Decision::Filed { number: request.id })
    }

    fn change(&mut self, line: &ApprovalLine, from: ApprovalState) -> Result<bool, StoreError> {
        let now_ms = self.clock.now_ms();
        self.store.change(line, from, now_ms)
    }

    fn forget(&mut self, now_ms: u64) -> Result<(), StoreError> {
        if now_ms < self.forget_at_ms {
            return Ok(());
        }
        self.forget_at_ms = now_ms + APPROVALS_FORGET_EVERY_MS;
        self.store.forget_news(now_ms)?;
        self.store.forget(now_ms)
    }

    fn leave(&mut self, id: ApprovalId, place: u128, withdraw: bool) -> Result<(), StoreError> {
        let key = id.to_string();
        if let Some(waiters) = self.waiting.get_mut(&key) {
            waiters.retain(|waiter| waiter.place != place);
            if waiters.is_empty() {
                self.waiting.remove(&key);
            }
        }
        if withdraw
            && !self.waiting.contains_key(&key)
            && let Some(mut line) = self.store.get(id)?
            && line.state == ApprovalState::Pending
        {
            line.state = ApprovalState::Cancelled;
            self.change(&line, ApprovalState::Pending)?;
        }
        Ok(())
    }

    fn take_back(&mut self, id: ApprovalId) -> Result<(), StoreError> {
        if let Some(mut line) = self.store.get(id)?
            && line.state == ApprovalState::Used
        {
            line.state = ApprovalState::Approved;
            self.change(&line, ApprovalState::Used)?;
        }
        Ok(())
    }

    fn decide(
        &mut self,
        asked: &DecideRequest,
        human: &Human,
        people: &People,
    ) -> Result<ApprovalLine, Undecided> {
        let unknown = || Undecided::Unknown { id: asked.id.clone() };
        let now_ms = self.clock.now_ms();
        self.store.expire(now_ms)?;
        let id = ApprovalId::parse(&asked.id).ok_or_else(unknown)?;
        let mut line = self.store.get(id)?.ok_or_else(unknown)?;
        if line.state != ApprovalState::Pending {
            return Err(Undecided::Settled { state: line.state });
        }
        people.admit(&line, human)?;
        seen(asked, &line, human)?;
        if asked.approve && people::has_voted(&line, human) {
            return Err(Undecided::Voted { name: human.name.clone() });
        }
        let reason = asked.reason.as_deref().map(one_line).filter(|reason| !reason.is_empty());
        if !asked.approve && reason.is_none() {
            return Err(Undecided::NoReason);
        }
        line.votes.push(human.vote(asked.approve, now_ms));
        let approvals = people::approvals(&line.votes);
        if !asked.approve {
            line.state = ApprovalState::Rejected;
            line.reason.clone_from(&reason);
        } else if approvals >= usize::from(line.quorum) {
            line.state = ApprovalState::Approved;
        }
        if line.state != ApprovalState::Pending {
            line.expires_unix_ms = now_ms + line.stands_ms;
        }
        if !self.change(&line, ApprovalState::Pending)? {
            return Err(Undecided::Settled { state: line.state });
        }
        self.announce(&mut line, &human.name)?;
        Ok(line)
    }

    /// Tells those who wait. One of them has the approval.
    fn announce(&mut self, line: &mut ApprovalLine, by: &str) -> Result<(), StoreError> {
        let Some(id) = ApprovalId::parse(&line.id) else { return Ok(()) };
        match line.state {
            ApprovalState::Rejected => {
                let reason = line.reason.clone().unwrap_or_default();
                let decision = Decision::Rejected { by: by.to_owned(), reason };
                self.tell_all(&line.id, &decision);
            }
            ApprovalState::Approved => {
                for waiter in self.waiting.remove(&line.id).unwrap_or_default() {
                    let decision = if line.state == ApprovalState::Approved {
                        line.state = ApprovalState::Used;
                        self.change(line, ApprovalState::Approved)?;
                        Decision::Approved { number: id, by: approvers(line) }
                    } else {
                        Decision::Unavailable { reason: "another session has used the approval" }
                    };
                    let used = matches!(decision, Decision::Approved { .. });
                    if !(waiter.tell)(id, decision) && used {
                        // It never heard of it: the approval is still there.
                        line.state = ApprovalState::Approved;
                        self.change(line, ApprovalState::Used)?;
                    }
                }
            }
            ApprovalState::Pending
            | ApprovalState::Used
            | ApprovalState::Expired
            | ApprovalState::Cancelled => {}
        }
        Ok(())
    }

    fn tell_all(&mut self, key: &str, decision: &Decision) {
        let Some(id) = ApprovalId::parse(key) else { return };
        for waiter in self.waiting.remove(key).unwrap_or_default() {
            (waiter.tell)(id, decision.clone());
        }
    }
}

/// Whether the decision is on what was looked at. Who comes by a token has to say so: nothing else
/// tells that a program on their desk did not make up the number.
fn seen(asked: &DecideRequest, line: &ApprovalLine, human: &Human) -> Result<(), Undecided> {
    let hash = asked.hash.as_deref();
    if hash.is_some_and(|hash| hash.is_empty() || !line.hash.starts_with(hash)) {
        return Err(Undecided::OtherHash);
    }
    let digits = hash.map_or(0, str::len);
    let needed = match human.known {
        Known::Bearer(_) if asked.approve => APPROVAL_HASH_DIGITS_MIN,
        Known::Bearer(_) | Known::Local { .. } => 0,
    };
    if digits < needed { Err(Undecided::NoHash) } else { Ok(()) }
}

/// A reason as the bot is told it: no protocol and no terminal stumbles over it.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(plain).collect()
}

fn approvers(line: &ApprovalLine) -> String {
    let names: Vec<&str> =
        line.votes.iter().filter(|vote| vote.approve).map(|vote| vote.by.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
pub(in crate::control) mod tests;
