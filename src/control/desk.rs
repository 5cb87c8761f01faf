//! Asks the fleet on behalf of the admin endpoints. Knows how long to wait for a worker, and that
//! what changes something becomes an audit event; knows no HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::control::api::{self, DecideRequest, Killed, Reloaded, SessionLine, Sessions};
use crate::control::approvals::{Approvals, Human, Page, StoreError, Undecided};
use crate::control::{Fleet, Swapped};
use crate::identity::Rejection;
use crate::limits::{KILL_MS_MAX, RELOAD_MS_MAX, WORKER_REPORT_MS_MAX};
use crate::model::event::{AuditEvent, What};
use crate::model::session::KillScope;
use crate::model::time::{unix_ns, unix_time};
use crate::observe::metrics::{Snapshot, WorkerReport};
use crate::observe::sink::EventQueue;

pub struct Desk {
    fleet: Arc<dyn Fleet>,
    events: EventQueue,
    approvals: Arc<Approvals>,
}

impl Desk {
    pub fn new(fleet: Arc<dyn Fleet>, events: EventQueue, approvals: Arc<Approvals>) -> Self {
        Self { fleet, events, approvals }
    }

    pub fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// The human whom a token names; auditors hear of tokens that name none.
    pub async fn identify(
        &self,
        token: Zeroizing<Vec<u8>>,
        peer: SocketAddr,
    ) -> Result<Human, Rejection> {
        let approvals = Arc::clone(&self.approvals);
        let identified = tokio::task::spawn_blocking(move || approvals.identify(&token)).await;
        let identified = identified.unwrap_or(Err(Rejection::IssuerUnknown));
        if let Err(rejection) = &identified {
            let (user, reason) = (REVIEWER.to_owned(), rejection.to_string());
            let mut event = event(What::LoginRefused { user, reason });
            event.peer = Some(peer);
            self.events.offer(event);
        }
        identified
    }

    /// A page of the requests that this human may look at.
    pub async fn requests(&self, page: Page, human: Human) -> Result<api::Approvals, StoreError> {
        let approvals = Arc::clone(&self.approvals);
        let listed = tokio::task::spawn_blocking(move || approvals.list(&page, &human)).await;
        let requests = listed.unwrap_or_else(|_| Ok(Vec::new()))?;
        let now_unix_ms = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
        let is_full = requests.len() >= page.limit;
        let next = requests.last().filter(|_| is_full).map(|line| line.id.clone());
        Ok(api::Approvals { now_unix_ms, requests, next })
    }

    pub async fn request(
        &self,
        id: String,
        human: Human,
    ) -> Result<Option<api::ApprovalLine>, StoreError> {
        let approvals = Arc::clone(&self.approvals);
        let shown = tokio::task::spawn_blocking(move || approvals.show(&id, &human)).await;
        shown.unwrap_or(Ok(None))
    }

    pub async fn decide(
        &self,
        asked: DecideRequest,
        human: Human,
    ) -> Result<api::ApprovalLine, Undecided> {
        let approvals = Arc::clone(&self.approvals);
        let id = asked.id.clone();
        let decided = tokio::task::spawn_blocking(move || approvals.decide(&asked, &human)).await;
        decided.unwrap_or(Err(Undecided::Unknown { id }))
    }

    /// The state of everything, as far as it answers in time.
    pub async fn snapshot(&self) -> Snapshot {
        let reports = self.reports().await;
        Snapshot {
            node: self.fleet.node(),
            reports,
            recorder: self.fleet.recorder(),
            key_sets: self.fleet.key_sets(),
            events: self.events.stats(),
            now_unix_s: unix_time().as_secs(),
        }
    }

    pub async fn sessions(&self) -> Sessions {
        let reports = self.reports().await;
        let silent = usize::from(self.fleet.node().workers).saturating_sub(reports.len());
        let mut sessions: Vec<SessionLine> =
            reports.into_iter().flat_map(|report| report.sessions).map(SessionLine::from).collect();
        sessions.sort_by(|a, b| (a.started_unix_ns, &a.id).cmp(&(b.started_unix_ns, &b.id)));
        Sessions { workers_silent: silent as u64, sessions }
    }

    /// Ends sessions and tells the auditors who asked, before it is told how many there were.
    pub async fn kill(&self, scope: KillScope, by: &str) -> Killed {
        tracing::info!(by, "an operator ends sessions");
        let mut event = event(What::Killed { by: by.to_owned(), scope: scope.to_string() });
        match &scope {
            KillScope::Session(id) => event.session = Some(*id),
            KillScope::Target(name) => event.target = Some(name.as_str().into()),
            KillScope::Account(_) | KillScope::All => {}
        }
        self.events.offer(event);
        let (ended, workers_silent) = gather(self.fleet.kill(&scope), KILL_MS_MAX).await;
        Killed { ended: ended.iter().sum(), workers_silent }
    }

    pub async fn reload(&self, by: &str) -> Result<Reloaded, Vec<String>> {
        let fleet = Arc::clone(&self.fleet);
        let swapped = match tokio::task::spawn_blocking(move || fleet.reload()).await {
            Ok(swapped) => swapped,
            Err(error) => Err(vec![format!("the reload ended with a defect: {error}")]),
        };
        let result = match swapped {
            Ok(Swapped { version, applied }) => {
                let (_applied, workers_silent) = gather(applied, RELOAD_MS_MAX).await;
                Ok(Reloaded { version, workers_silent })
            }
            Err(diagnostics) => Err(diagnostics),
        };
        let by = by.to_owned();
        let what = match &result {
            Ok(Reloaded { version, .. }) => What::ConfigReloaded { version: version.clone(), by },
            Err(lines) => What::ReloadRefused { reason: lines.join("; "), by },
        };
        self.events.offer(event(what));
        result
    }

    async fn reports(&self) -> Vec<WorkerReport> {
        let (mut reports, _silent) = gather(self.fleet.reports(), WORKER_REPORT_MS_MAX).await;
        reports.sort_by_key(|report| report.worker);
        reports
    }
}

/// Answers that arrive within `ms_max` of now, all together, and how many are missing: who is gone or
/// late gives none.
async fn gather<T>(asked: Vec<oneshot::Receiver<T>>, ms_max: u64) -> (Vec<T>, u64) {
    let deadline = tokio::time::Instant::now() + Duration::from_millis(ms_max);
    let asked_count = asked.len();
    let mut answers = Vec::with_capacity(asked_count);
    for receiver in asked {
        if let Ok(Ok(answer)) = tokio::time::timeout_at(deadline, receiver).await {
            answers.push(answer);
        }
    }
    let missing = asked_count - answers.len();
    (answers, missing as u64)
}

fn event(what: What) -> AuditEvent {
    AuditEvent::of_gateway(unix_ns(), what)
}

/// Who tries to log in, in the auditors' eyes, where a token names nobody.
const REVIEWER: &str = "reviewer";
