//! The running gateway: what the admin endpoints may ask of it, and the reload that swaps its
//! tables whole or not at all.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use hdrhistogram::Histogram;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::cli::run::{StartError, workers};
use crate::config::{self, Config, Workers};
use crate::control::approvals::{Approvals, People};
use crate::control::{Fleet, Swapped};
use crate::identity::lease::Lessor;
use crate::identity::vault::Vault;
use crate::identity::{Gate, KeyRing, site_key};
use crate::io;
use crate::limits;
use crate::mask::cell::Keys;
use crate::model::event::{AuditEvent, What};
use crate::model::session::KillScope;
use crate::model::time::unix_ns;
use crate::observe::log::chain;
use crate::observe::metrics::{self, KeySetState, NodeView, RecorderStats, WorkerReport};
use crate::observe::sink::EventQueue;
use crate::record::Recorder;
use crate::worker::mailbox::{DialRequest, HoldMessage, Mailbox, Message, Order};
use crate::worker::snapshot::{BuildError, Snapshot};

pub(super) struct Gateway {
    config_path: PathBuf,
    mailboxes: Arc<[Mailbox]>,
    recorder: Recorder,
    events: EventQueue,
    lessor: Arc<Lessor>,
    ring: ArcSwap<KeyRing>,
    mask_keys: Arc<Keys>,
    /// One reload at a time.
    current: Mutex<Current>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    dial_requests: Mutex<Option<Receiver<DialRequest>>>,
    approvals: Arc<Approvals>,
    hold_messages: Mutex<Option<Receiver<HoldMessage>>>,
    lost: Arc<Notify>,
    node: NodeView,
    /// Stands for the commit times of a recorder that has none to tell.
    no_commits: Histogram<u64>,
}

struct Current {
    version: String,
    binds: HashSet<SocketAddr>,
    /// What only a restart changes.
    fixed: Fixed,
}

#[derive(PartialEq, Eq)]
struct Fixed {
    node: config::Node,
    recording: config::Recording,
}

impl Gateway {
    pub(super) fn start(
        config_path: &Path,
        config: Config,
        kind: io::DriverKind,
        report: io::Report,
        recorder: Recorder,
        events: EventQueue,
    ) -> Result<Self, StartError> {
        let ring = KeyRing::new(&config.issuers, None);
        let site_key = site_key(&config.node.state_dir)?;
        let mask_keys = Arc::new(site_key.with(Keys::new));
        let snapshot = snapshot(&config, &ring, &mask_keys)?;
        let binds: HashSet<SocketAddr> = snapshot.binds().collect();
        let auditors = events.clone();
        recorder.watch(Box::new(move |what| {
            let _taken = auditors.offer(AuditEvent::of_gateway(unix_ns(), what));
        }));
        let listeners = binds.iter().map(|bind| listen(*bind)).collect::<Result<Vec<_>, _>>()?;
        let (dials, dial_requests) = mpsc::channel(limits::DIAL_REQUESTS_MAX);
        let approvals = Approvals::open(&config.node.state_dir.join(STATE_FILE), events.clone())?;
        approvals.set_people(people(&config, &ring));
        approvals.set_notifiers(config.notifiers.clone());
        let (holds, hold_messages) = mpsc::channel(limits::HOLD_MESSAGES_MAX);
        let lost = Arc::new(Notify::new());
        let outfit = workers::Outfit {
            kind,
            snapshot: Arc::new(snapshot),
            recorder: recorder.clone(),
            events: events.clone(),
            dials,
            holds,
            lost: Arc::clone(&lost),
        };
        let crew = workers::start(worker_count(config.node.workers), &outfit, listeners)?;
        let node = NodeView {
            name: config.node.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ns: unix_ns(),
            driver: kind.to_string(),
            driver_report: report.to_string().lines().map(str::to_owned).collect(),
            workers: u16::try_from(crew.mailboxes.len()).unwrap_or(u16::MAX),
            config_version: config.version.clone(),
        };
        Ok(Self {
            config_path: config_path.to_owned(),
            mailboxes: crew.mailboxes,
            recorder,
            events,
            lessor: Arc::new(Lessor::new(Vault::in_state_dir(&config.node.state_dir))),
            ring: ArcSwap::from_pointee(ring),
            mask_keys,
            current: Mutex::new(Current {
                version: config.version,
                binds,
                fixed: Fixed { node: config.node, recording: config.recording },
            }),
            threads: Mutex::new(crew.threads),
            dial_requests: Mutex::new(Some(dial_requests)),
            approvals: Arc::new(approvals),
            hold_messages: Mutex::new(Some(hold_messages)),
            lost,
            node,
            no_commits: metrics::latency_histogram()?,
        })
    }

    /// Reads everything anew and swaps it, or says what is wrong and leaves all as it is.
    pub(super) fn reload_by_signal(&self) -> Result<String, Vec<String>> {
        let reloaded = self.try_reload().map(|swapped| swapped.version);
        let by = "SIGHUP".to_owned();
        let what = match &reloaded {
            Ok(version) => What::ConfigReloaded { version: version.clone(), by },
            Err(problems) => What::ReloadRefused { reason: problems.join("; "), by },
        };
        self.events.reopen();
        self.offer(what);
        reloaded
    }

    fn try_reload(&self) -> Result<Swapped, Vec<String>> {
        let mut current = lock(&self.current);
        let config = config::load(&self.config_path)
            .map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let fixed = Fixed { node: config.node.clone(), recording: config.recording.clone() };
        if fixed != current.fixed {
            let problem = "[node] and [recording] are read at start only: restart to change them";
            return Err(vec![problem.to_owned()]);
        }
        let ring = KeyRing::new(&config.issuers, Some(&self.ring.load()));
        let snapshot =
            snapshot(&config, &ring, &self.mask_keys).map_err(|error| vec![chain(&error)])?;
        let binds: HashSet<SocketAddr> = snapshot.binds().collect();
        let added = binds.difference(&current.binds).map(|bind| listen(*bind));
        let added = added.collect::<Result<Vec<_>, _>>();
        let mut added = added.map_err(|error| vec![chain(&error)])?;
        let snapshot = Arc::new(snapshot);
        self.ring.swap(Arc::new(ring)).retire();
        let apply = |mailbox: &Mailbox| {
            let (applied, answer) = oneshot::channel();
            // The first worker accepts for all.
            let listeners = std::mem::take(&mut added);
            mailbox.order(Order::Apply { snapshot: Arc::clone(&snapshot), listeners, applied });
            answer
        };
        let applied = self.mailboxes.iter().map(apply).collect();
        self.approvals.set_people(people(&config, &self.ring.load()));
        self.approvals.set_notifiers(config.notifiers);
        current.binds = binds;
        current.version.clone_from(&config.version);
        Ok(Swapped { version: config.version, applied })
    }

    fn offer(&self, what: What) {
        // The queue counts what it cannot take.
        let _taken = self.events.offer(AuditEvent::of_gateway(unix_ns(), what));
    }

    /// Ends idle sessions; how many sessions are left.
    pub(super) async fn drain_step(&self) -> usize {
        self.order_all(|| Order::Drain);
        let mut left = 0;
        for report in self.reports() {
            left += report.await.map_or(0, |report| report.sessions.len());
        }
        left
    }

    pub(super) fn order_all(&self, order: impl Fn() -> Order) {
        for mailbox in self.mailboxes.iter() {
            mailbox.order(order());
        }
    }

    pub(super) fn stop_workers(&self) {
        self.order_all(|| Order::Stop);
    }

    pub(super) fn join_workers(&self) {
        for thread in lock(&self.threads).drain(..) {
            // Its panic has been logged where it was caught.
            let _ended = thread.join();
        }
    }

    pub(super) async fn worker_lost(&self) {
        self.lost.notified().await;
    }

    pub(super) fn take_hold_messages(&self) -> Option<Receiver<HoldMessage>> {
        lock(&self.hold_messages).take()
    }

    pub(super) fn approvals(&self) -> Arc<Approvals> {
        Arc::clone(&self.approvals)
    }

    pub(super) fn take_dial_requests(&self) -> Option<Receiver<DialRequest>> {
        lock(&self.dial_requests).take()
    }

    pub(super) fn mailboxes(&self) -> Arc<[Mailbox]> {
        Arc::clone(&self.mailboxes)
    }

    pub(super) fn lessor(&self) -> Arc<Lessor> {
        Arc::clone(&self.lessor)
    }

    pub(super) fn key_ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    pub(super) fn events(&self) -> EventQueue {
        self.events.clone()
    }

    pub(super) fn driver(&self) -> &str {
        &self.node.driver
    }

    pub(super) fn workers(&self) -> usize {
        self.mailboxes.len()
    }
}

impl Fleet for Gateway {
    fn reports(&self) -> Vec<oneshot::Receiver<WorkerReport>> {
        self.ask(|reply| Message::Report { reply })
    }

    fn kill(&self, scope: &KillScope) -> Vec<oneshot::Receiver<u64>> {
        self.ask(|reply| Message::Kill { scope: scope.clone(), reply })
    }

    fn reload(&self) -> Result<Swapped, Vec<String>> {
        self.try_reload()
    }

    fn recorder(&self) -> RecorderStats {
        let stats = self.recorder.stats();
        let commit_us = stats.commit_us.unwrap_or_else(|| self.no_commits.clone());
        RecorderStats {
            queue_bytes: stats.queue_bytes as u64,
            blocks: stats.blocks,
            raw_bytes: stats.raw_bytes,
            stored_bytes: stats.stored_bytes,
            commits: commit_us.len(),
            commit_us,
            losses: stats.lost_blocks,
            failed: stats.failing,
        }
    }

    fn key_sets(&self) -> Vec<KeySetState> {
        let states = self.ring.load().status();
        states
            .into_iter()
            .map(|state| KeySetState {
                issuer: state.issuer,
                keys: state.keys as u64,
                fetched_unix_s: state.fetched_unix_s,
                failure: state.error,
            })
            .collect()
    }

    fn node(&self) -> NodeView {
        NodeView { config_version: lock(&self.current).version.clone(), ..self.node.clone() }
    }
}

impl Gateway {
    fn ask<T>(&self, message: impl Fn(oneshot::Sender<T>) -> Message) -> Vec<oneshot::Receiver<T>> {
        let ask = |mailbox: &Mailbox| {
            let (reply, answer) = oneshot::channel();
            // A worker that cannot be asked drops the sender, which its reader sees.
            let _put = mailbox.put(message(reply));
            answer
        };
        self.mailboxes.iter().map(ask).collect()
    }
}

fn snapshot(
    config: &Config,
    ring: &KeyRing,
    mask_keys: &Arc<Keys>,
) -> Result<Snapshot, BuildError> {
    let gate = Gate::new(ring, config.accounts.iter().cloned());
    Snapshot::build(config, gate, Arc::clone(mask_keys))
}

/// Who decides on what is held. Tokens of humans are judged by the keys that bots' tokens are.
fn people(config: &Config, ring: &KeyRing) -> People {
    let gate = Gate::new(ring, config.accounts.iter().cloned());
    People::new(config.groups.clone(), Some(gate))
}

fn listen(bind: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(bind).map_err(|source| StartError::Bind { bind, source })
}

fn worker_count(workers: Workers) -> u16 {
    match workers {
        Workers::Exactly(count) => count.max(1),
        Workers::Auto => std::thread::available_parallelism()
            .map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(u16::MAX)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests for approval, in `node.state_dir`.
const STATE_FILE: &str = "state.db";
