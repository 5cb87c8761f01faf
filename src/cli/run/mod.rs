//! `narrows run`: starts the parts in the order in which they need each other, serves, and stops
//! them in the reverse order.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;

use crate::cli::{Context, Exit, complain, fail};
use crate::config::{self, Config, DriverChoice, Sink};
use crate::control::admin::{Admin, AdminError, Reach};
use crate::control::api::Estimate;
use crate::control::approvals::{Approvals, StoreError, Waiter};
use crate::control::catalogue::{self, Catalogues, Place, Rules};
use crate::control::keys::Pace;
use crate::control::{Fleet, dial, estimate, harden, keys, notify};
use crate::identity::SiteKeyError;
use crate::identity::lease::Lessor;
use crate::io;
use crate::io::tls::{TlsConfigError, server_config};
use crate::limits;
use crate::mask::catalogue::Cell;
use crate::model::approval::HoldRequest;
use crate::model::target::{Connection, Target};
use crate::observe::log::{self, LogError, chain};
use crate::observe::sink::{EventQueue, EventSink, SinkError};
use crate::record::{Recorder, RecordingConfig};
use crate::session::Protected;
use crate::worker::mailbox::{Address, DialRequest, HoldMessage, Mailbox, Message, Order};
use crate::worker::snapshot::BuildError;

mod gateway;
mod workers;

use gateway::Gateway;

/// Serve bots until SIGTERM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signals:
  SIGHUP   read the configuration and certificates anew; keep the old ones if they are not valid
  SIGTERM  accept nothing more, end sessions as they fall idle, then stop
  SIGINT   the same; a second one stops at once

Examples:
  narrows run -c /etc/narrows/narrows.toml
  NARROWS_CONFIG=./narrows.toml narrows run")]
pub struct Args {}

/// What keeps the gateway from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the configuration is not valid")]
    Config(Vec<String>),
    #[error(transparent)]
    Driver(#[from] io::UringUnavailable),
    #[error("the recorder")]
    Recorder(#[from] crate::record::StartError),
    #[error("listener {bind}")]
    Bind { bind: std::net::SocketAddr, source: std::io::Error },
    #[error("worker {worker} could not be started")]
    Worker { worker: u16, source: workers::WorkerError },
    #[error(transparent)]
    Tables(#[from] BuildError),
    #[error("the latency histogram")]
    Histogram(#[from] hdrhistogram::CreationError),
    #[error("the log")]
    Log(#[from] LogError),
    #[error("the audit log")]
    Events(#[from] SinkError),
    #[error("the key of stand-ins for protected values")]
    SiteKey(#[from] SiteKeyError),
    #[error("the admin endpoints")]
    Admin(#[from] AdminError),
    #[error("the admin address's certificate")]
    AdminTls(#[from] TlsConfigError),
    #[error("the store of requests for approval")]
    Approvals(#[from] StoreError),
    #[error("the service threads' runtime")]
    Runtime(#[source] std::io::Error),
}

#[must_use]
pub fn run(_args: &Args, context: &Context) -> Exit {
    match serve(&context.config) {
        Ok(()) => Exit::Done,
        Err(StartError::Config(problems)) => {
            problems.iter().for_each(|problem| complain(problem));
            Exit::Unsound
        }
        Err(error) => fail(&error),
    }
}

fn serve(config_path: &Path) -> Result<(), StartError> {
    let config = load(config_path)?;
    log::start(config.node.log.format, config.node.log.level.name())?;
    raise_descriptor_limit();
    if let Err(error) = harden::forbid_core_dumps() {
        tracing::warn!(error = chain(&error), "hardening is incomplete");
    }
    let (kind, report) = choose_driver(config.node.driver)?;
    let (events, sink) = start_events(&config)?;
    let recorder = Recorder::start(recording(&config))?;
    let tls = config.node.admin.tls.as_ref();
    let tls = tls.map(|files| server_config(files, &[b"http/1.1"])).transpose()?;
    let reviewed = config.groups.iter().any(|group| !group.users.is_empty());
    let reach = if reviewed { Reach::LocalUsers } else { Reach::Operator };
    let signals = Signals::install().map_err(StartError::Runtime)?;
    let admin = Admin::bind(&config.node.admin.socket, config.node.admin.bind, tls, reach)?;
    let gateway = Gateway::start(config_path, config, kind, report, recorder.clone(), events)?;
    let gateway = Arc::new(gateway);
    let served = service(&gateway, admin, kind, signals);
    gateway.join_workers();
    recorder.stop();
    if let Some(sink) = sink {
        sink.finish();
    }
    served
}

fn load(path: &Path) -> Result<Config, StartError> {
    let config = config::load(path).map_err(|diagnostics| {
        StartError::Config(diagnostics.iter().map(ToString::to_string).collect())
    })?;
    for warning in &config.warnings {
        complain(&warning.to_string());
    }
    Ok(config)
}

fn recording(config: &Config) -> RecordingConfig {
    RecordingConfig {
        dir: config.recording.dir.clone(),
        node_name: config.node.name.clone(),
        durability: config.recording.durability,
        on_failure: config.recording.on_failure,
        segment_bytes: config.recording.segment_bytes,
    }
}

fn choose_driver(choice: DriverChoice) -> Result<(io::DriverKind, io::Report), StartError> {
    let report = io::probe();
    let kind = report.choose(match choice {
        DriverChoice::Auto => io::Choice::Auto,
        DriverChoice::Uring => io::Choice::Uring,
        DriverChoice::Epoll => io::Choice::Epoll,
    })?;
    match report.missing() {
        Some(missing) => tracing::warn!(driver = %kind, %missing, "driver chosen"),
        None => tracing::info!(driver = %kind, "driver chosen"),
    }
    Ok((kind, report))
}

/// Where audit events go. Without a sink nobody asked for them.
fn start_events(config: &Config) -> Result<(EventQueue, Option<EventSink>), StartError> {
    match config.sinks.first() {
        None => Ok((EventQueue::discarding(), None)),
        Some(Sink::File { path }) => {
            let (queue, sink) = EventSink::start(path, &config.node.name)?;
            Ok((queue, Some(sink)))
        }
    }
}

/// A session costs two descriptors: takes as many as the hard limit gives.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// Everything slow, on one thread: tokio-uring's runtime where rings are to be had, tokio's
/// otherwise.
fn service(
    gateway: &Arc<Gateway>,
    admin: Admin,
    kind: io::DriverKind,
    signals: Signals,
) -> Result<(), StartError> {
    match kind {
        io::DriverKind::Uring => tokio_uring::start(attend(gateway, admin, signals)),
        io::DriverKind::Epoll => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(StartError::Runtime)?;
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, attend(gateway, admin, signals))
        }
    }
}

/// What operators send. From the moment that anybody can see the gateway, they may: before these are
/// installed, each of them would end the process.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// What comes from now on waits until somebody attends to it.
    fn install() -> std::io::Result<Self> {
        // A handler is the process's; which runtime it was installed in does not matter.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _inside = runtime.enter();
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

async fn attend(gateway: &Arc<Gateway>, admin: Admin, signals: Signals) -> Result<(), StartError> {
    let Signals { mut hangup, mut terminate, mut interrupt } = signals;
    tokio::task::spawn_local(keep_keys(Arc::clone(gateway)));
    if let Some(requests) = gateway.take_dial_requests() {
        tokio::task::spawn_local(answer_dials(requests, gateway.clone()));
    }
    if let Some(messages) = gateway.take_hold_messages() {
        let (approvals, mailboxes) = (gateway.approvals(), gateway.mailboxes());
        tokio::task::spawn_local(keep_requests(messages, approvals, mailboxes, gateway.lessor()));
    }
    let pace = notify::Pace::default();
    tokio::task::spawn_local(notify::keep_telling(gateway.approvals(), gateway.lessor(), pace));
    let (shut, shutdown) = watch::channel(false);
    let fleet: Arc<dyn Fleet> = gateway.clone();
    let admin = tokio::task::spawn_local(admin.serve(
        fleet,
        gateway.events(),
        gateway.approvals(),
        shutdown,
    ));
    // Every ring stands now.
    if let Err(error) = harden::filter_system_calls() {
        tracing::warn!(error = chain(&error), "hardening is incomplete");
    }
    tracing::info!(driver = gateway.driver(), workers = gateway.workers(), "serving");
    let stopping = Arc::new(AtomicBool::new(false));
    while !stopping.load(Ordering::Relaxed) {
        tokio::select! {
            _ = hangup.recv() => reload(gateway).await,
            _ = terminate.recv() => stopping.store(true, Ordering::Relaxed),
            _ = interrupt.recv() => stopping.store(true, Ordering::Relaxed),
            () = gateway.worker_lost() => {
                tracing::error!("a worker thread ended: the process stops");
                break;
            }
        }
    }
    drain(gateway, &mut interrupt).await;
    // The admin endpoints answer until the end, so that a drain can be watched.
    let _shut = shut.send(true);
    match admin.await {
        Ok(served) => Ok(served?),
        Err(_panicked) => {
            tracing::error!("the admin endpoints ended by a defect");
            Ok(())
        }
    }
}

async fn reload(gateway: &Arc<Gateway>) {
    let gateway = Arc::clone(gateway);
    let reloaded = tokio::task::spawn_blocking(move || gateway.reload_by_signal()).await;
    match reloaded {
        Ok(Ok(version)) => tracing::info!(version, "configuration reloaded"),
        Ok(Err(diagnostics)) => {
            for diagnostic in diagnostics {
                tracing::error!(diagnostic, "configuration refused; the old one stays");
            }
        }
        Err(_panicked) => tracing::error!("reloading failed by a defect; the old one stays"),
    }
}

/// Ends sessions as they fall idle, the rest when time is up or the operator insists.
async fn drain(gateway: &Arc<Gateway>, interrupt: &mut Signal) {
    tracing::info!("draining: nothing more is accepted");
    let patience = Duration::from_millis(limits::DRAIN_MS_MAX);
    let drained = async {
        while gateway.drain_step().await > 0 {
            tokio::time::sleep(Duration::from_millis(limits::DRAIN_STEP_MS)).await;
        }
    };
    tokio::select! {
        () = drained => tracing::info!("every session has ended"),
        () = tokio::time::sleep(patience) => tracing::warn!("sessions were cut: time is up"),
        _ = interrupt.recv() => tracing::warn!("sessions were cut: interrupted"),
    }
    gateway.stop_workers();
}

async fn answer_dials(mut requests: Receiver<DialRequest>, gateway: Arc<Gateway>) {
    let (lessor, mailboxes) = (gateway.lessor(), gateway.mailboxes());
    let pace = catalogue::Pace::default();
    let catalogues = Catalogues::new(Arc::clone(&lessor), pace, gateway.events());
    while let Some(request) = requests.recv().await {
        let catalogues = catalogues.clone();
        let lessor = Arc::clone(&lessor);
        let mailboxes = Arc::clone(&mailboxes);
        tokio::task::spawn_local(async move {
            let connection = request.connection.as_deref();
            let result = dial::dial(&lessor, &request.target, connection).await;
            let catalogue = match (request.protected, request.connection, &result) {
                (Some(protected), Some(connection), Ok(_)) => {
                    let target = request.target;
                    Some(read_catalogue(&catalogues, connection, target, protected).await)
                }
                (_, _, _) => None,
            };
            if let Some(mailbox) = mailboxes.get(usize::from(request.from.worker)) {
                // An overrun worker's session meets its deadline.
                let _put = mailbox.put(Message::Dialled { to: request.from, result, catalogue });
            }
        });
    }
}

/// What is known of the database whose columns are protected.
async fn read_catalogue(
    catalogues: &Catalogues,
    connection: Arc<Connection>,
    target: Arc<Target>,
    protected: Protected,
) -> Arc<Cell> {
    let Protected { masks, database, config_version } = protected;
    let place = Place { connection, target, database };
    catalogues.cell(place, &config_version, &Rules::of(masks)).await
}

/// Hands held commands to the store, one after the other, and lets time pass for it.
async fn keep_requests(
    mut messages: Receiver<HoldMessage>,
    approvals: Arc<Approvals>,
    mailboxes: Arc<[Mailbox]>,
    lessor: Arc<Lessor>,
) {
    let places = Arc::new(Semaphore::new(limits::ESTIMATES_AT_ONCE_MAX));
    let mut tick = tokio::time::interval(Duration::from_millis(limits::APPROVALS_TICK_MS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = messages.recv() => message,
            _ = tick.tick() => {
                let approvals = Arc::clone(&approvals);
                let _done = tokio::task::spawn_blocking(move || approvals.tick()).await;
                continue;
            }
        };
        let Some(message) = message else { return };
        let filed = match &message {
            HoldMessage::File { request, .. } => Some(request.clone()),
            HoldMessage::Leave { .. } | HoldMessage::Return { .. } => None,
        };
        let store = Arc::clone(&approvals);
        let mailboxes = Arc::clone(&mailboxes);
        // A disk may be slow, and this thread serves others.
        let _done = tokio::task::spawn_blocking(move || match message {
            HoldMessage::File { from, request } => {
                let tell = move |id, decision| {
                    let message = Message::Decided { to: from, id, decision };
                    mailboxes
                        .get(usize::from(from.worker))
                        .is_some_and(|mailbox| mailbox.put(message).is_ok())
                };
                store.file(&request, Waiter { place: place(from), tell: Box::new(tell) });
            }
            HoldMessage::Leave { from, id, withdraw } => {
                store.leave(id, place(from), withdraw);
            }
            HoldMessage::Return { id } => store.take_back(id),
        })
        .await;
        if let Some(request) = filed {
            let (approvals, lessor) = (Arc::clone(&approvals), Arc::clone(&lessor));
            tokio::task::spawn_local(add_estimate(request, approvals, lessor, places.clone()));
        }
    }
}

/// Asks the target how many rows a command would touch, for those who decide on it.
async fn add_estimate(
    request: Box<HoldRequest>,
    approvals: Arc<Approvals>,
    lessor: Arc<Lessor>,
    places: Arc<Semaphore>,
) {
    let (id, store) = (request.id, Arc::clone(&approvals));
    let lacks = tokio::task::spawn_blocking(move || store.lacks_estimate(id)).await;
    if !lacks.unwrap_or(false) {
        return;
    }
    let found = match places.try_acquire() {
        Ok(_place) => estimate::estimate(&lessor, &request).await,
        Err(_full) => Estimate::unknown("too many are being asked for"),
    };
    let _done = tokio::task::spawn_blocking(move || approvals.set_estimate(id, found)).await;
}

/// A session's place in one number.
fn place(at: Address) -> u128 {
    u128::from(at.worker) << 64 | u128::from(at.slot) << 32 | u128::from(at.generation)
}

/// Keeps the key sets of the current issuers fresh, and tells workers when a set has changed:
/// logins may be waiting for a key.
async fn keep_keys(gateway: Arc<Gateway>) {
    loop {
        let ring = gateway.key_ring();
        let fetching = tokio::task::spawn_local(keys::keep_fresh(ring.clone(), Pace::default()));
        let mut generation = ring.generation();
        while Arc::ptr_eq(&ring, &gateway.key_ring()) {
            ring.changed().await;
            let grown = ring.generation();
            if grown != generation {
                generation = grown;
                gateway.order_all(|| Order::KeysRefreshed);
            }
        }
        fetching.abort();
    }
}
