//! A house for sessions (a recorder in a folder of its own, policies, a classifier) and visits to
//! it: a session, what it said on each leg, and what it asked to be done.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::io::buf::Chunk;
use crate::judge::Classifier;
use crate::judge::policy::{Circumstances, Library, PolicyDocument, SessionPolicy};
use crate::mask::catalogue::Cell;
use crate::mask::cell::Keys;
use crate::model::event::{AuditEvent, What};
use crate::model::identity::Principal;
use crate::model::recording::Durability;
use crate::model::session::{CloseReason, Exchange, Leg, SessionId};
use crate::model::target::{
    AuditStatements, Connection, Credential, PolicyName, Protocol, Target, UpstreamTls,
};
use crate::model::time::{NS_PER_MS, Now};
use crate::record::reader::{Blocks, EntryKind, Segment, Step, Wanted, read, segments};
use crate::record::tests::{config, idle_waker};
use crate::record::{Recorder, RunKind, WorkerLink};
use crate::session::bucket::Bucket;
use crate::session::{Admission, Context, Input, Output, Session};
use crate::wire::postgres::tests as pg;
use crate::wire::{CancelKey, Setting, TlsFacts, UpstreamLogin};

mod cancelling;
mod ending;
mod holding;
mod masking;
mod opening;
mod pacing;
mod passing;
mod sim;
mod splits;

const POLICIES: &str = r#"
[reads]
default = "deny"
[[reads.rule]]
id = "reads"
when = { effects.only = ["read", "session_set", "txn", "insert"] }
action = "allow"
[[reads.rule]]
id = "drops"
when = { effects.any = ["ddl_drop"] }
action = "deny"
message = "no drops"
[[reads.rule]]
id = "updates"
when = { effects.any = ["update"] }
action = { hold = { wait = "25s", for = "10m" } }
[[reads.rule]]
id = "truncates"
when = { effects.any = ["truncate"] }
action = { hold = { in_transaction = "deny" } }
[closed]
default = "deny"
[stricter]
default = "deny"
[[stricter.rule]]
id = "updates"
when = { effects.any = ["update"] }
action = { hold = { reviewers = ["user:alice", "user:bob"], quorum = 2 } }
[masked]
default = "allow"
[[masked.rule]]
id = "drops"
when = { effects.any = ["ddl_drop"] }
action = "deny"
[[masked.mask]]
id = "mail"
columns = ["people.email"]
as = "redact"
[[masked.mask]]
id = "pins"
columns = ["people.pin"]
as = "null"
[[masked.mask]]
id = "cards"
detect = ["pan"]
as = "redact"
[unmasked]
default = "allow"
"#;

const TOKEN: &[u8] = b"eyJhbGciOi.a-token-that-nobody-records.c2ln";
const UPSTREAM_PASSWORD: &[u8] = b"pencil";

pub struct House {
    dir: tempfile::TempDir,
    pub recorder: Recorder,
    policies: Library,
    /// What bots are admitted with.
    admits: &'static str,
    catalogue: Option<Arc<Cell>>,
    masked_max: Option<u64>,
    bucket: Option<Arc<Bucket>>,
}

impl House {
    fn new() -> Self {
        Self::recording(Durability::Group)
    }

    pub fn recording(durability: Durability) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::start(config(dir.path(), durability)).unwrap();
        let read: BTreeMap<String, PolicyDocument> = toml::from_str(POLICIES).unwrap();
        let documents = read.into_iter().map(|(name, policy)| (name.into(), policy)).collect();
        let policies = Library::new("v1".into(), documents).unwrap();
        Self {
            dir,
            recorder,
            policies,
            admits: "reads",
            catalogue: None,
            masked_max: None,
            bucket: None,
        }
    }

    fn policy(&self, name: &str) -> SessionPolicy {
        let principal = principal();
        let labels = BTreeMap::new();
        let circumstances = Circumstances {
            principal: &principal,
            labels: &labels,
            target: "shop",
            database: "shop",
        };
        self.policies.bind(&[PolicyName::from(name)], &circumstances).unwrap()
    }

    fn admission(&self) -> Admission {
        let connection = Connection {
            account: "ci".into(),
            target: "shop".into(),
            credential: Credential { username: "leased".into(), password: None },
            databases: Some(Arc::from(["shop".to_owned()])),
            policies: Arc::from([PolicyName::from("reads")]),
            audit: AuditStatements::Denied,
            sessions_max: None,
            rows_max: None,
            bytes_max: None,
            masked_max: self.masked_max,
            statements_per_minute_max: None,
        };
        Admission {
            principal: Arc::new(principal()),
            target: target(),
            connection: Arc::new(connection),
            policy: self.policy(self.admits),
            config_version: "v1".into(),
            mask_keys: Arc::new(Keys::new(&[7; 32])),
            bucket: self.bucket.clone(),
        }
    }

    /// A bot has connected.
    fn visit(&self) -> Visit<'_> {
        let now = Now { unix_ns: 1_700_000_000_000_000_000, mono_ns: 1_000_000_000 };
        let setting = Setting { downstream_tls: true, cancel_seed: [7; 32] };
        let peer = "127.0.0.1:5000".parse().unwrap();
        self.visit_by(Session::accepted(Protocol::Postgres, setting, peer, now), now)
    }

    fn visit_by(&self, session: Session, now: Now) -> Visit<'_> {
        Visit {
            house: self,
            session,
            link: self.recorder.worker(0, idle_waker()),
            classifier: Classifier::new(),
            now,
            attended: true,
            upstream_tls: false,
            outputs: VecDeque::new(),
            seen: Seen::default(),
        }
    }

    /// A session whose target has said that it is ready.
    pub fn open_session(&self) -> Session {
        self.open().session
    }

    /// A visit whose target has said that it is ready, with nothing seen yet.
    fn open(&self) -> Visit<'_> {
        let mut visit = self.visit();
        visit.knock();
        visit.target(&target_login());
        assert_eq!(visit.session.state(), "idle");
        visit.seen = Seen::default();
        visit
    }

    /// Everything that was recorded, once the recorder has stopped.
    fn told(&self) -> BTreeMap<SessionId, Told> {
        self.recorder.stop();
        let mut sessions: BTreeMap<SessionId, Told> = BTreeMap::new();
        read(self.dir.path(), Wanted::All, &mut |entry| {
            let told = sessions.entry(entry.session).or_default();
            match entry.kind {
                EntryKind::Run { kind, bytes } => told.run(kind, bytes),
                EntryKind::Exchange(exchange) => told.exchanges.push(*exchange),
                EntryKind::Start(_) => told.starts += 1,
                EntryKind::End(end) => told.ends.push(end.reason),
                other @ (EntryKind::Lost(_)
                | EntryKind::LostElsewhere(_)
                | EntryKind::Recovered(_)
                | EntryKind::ClockStep(_)
                | EntryKind::Damaged { .. }) => panic!("{other:?} was recorded"),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        sessions
    }

    /// The one session that was recorded.
    fn only(&self) -> Told {
        let mut told = self.told();
        assert_eq!(told.len(), 1);
        told.pop_first().unwrap().1
    }

    /// Whether the bytes stand anywhere in the segments, on disk or once decompressed.
    fn holds(&self, needle: &[u8]) -> bool {
        self.recorder.stop();
        let finds = |bytes: &[u8]| memchr::memmem::find(bytes, needle).is_some();
        segments(self.dir.path()).unwrap().into_iter().any(|path| {
            let segment = Segment::open(&path).unwrap();
            let mut blocks = Blocks::new(segment, std::fs::metadata(&path).unwrap().len());
            let mut found = finds(&std::fs::read(&path).unwrap());
            while let Step::Block(mut block) = blocks.step().unwrap() {
                found |= finds(block.raw().unwrap());
            }
            found
        })
    }
}

/// What was recorded of one session. Runs of one kind that follow one another are joined.
#[derive(Debug, Default)]
struct Told {
    runs: Vec<(RunKind, Vec<u8>)>,
    exchanges: Vec<Exchange>,
    starts: usize,
    ends: Vec<String>,
}

impl Told {
    fn run(&mut self, kind: RunKind, bytes: &[u8]) {
        match self.runs.last_mut() {
            Some((last, joined)) if *last == kind => joined.extend_from_slice(bytes),
            _ => self.runs.push((kind, bytes.to_vec())),
        }
    }

    fn of(&self, kind: RunKind) -> Vec<u8> {
        let runs = self.runs.iter().filter(|(its, _)| *its == kind);
        runs.flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    /// What crossed, by the leg that got it, in order.
    fn crossed(&self) -> Vec<(Leg, Vec<u8>)> {
        let mut crossed = Vec::new();
        for (kind, bytes) in &self.runs {
            match kind {
                RunKind::Forwarded | RunKind::SaidUpstream => {
                    join(&mut crossed, Leg::Upstream, bytes)
                }
                RunKind::Delivered | RunKind::SaidDownstream => {
                    join(&mut crossed, Leg::Downstream, bytes);
                }
                RunKind::Withheld | RunKind::Exchange => {}
            }
        }
        crossed
    }

    fn end(&self) -> &str {
        let [end] = &self.ends[..] else { panic!("{} ends were recorded", self.ends.len()) };
        end
    }
}

fn join(crossed: &mut Vec<(Leg, Vec<u8>)>, leg: Leg, bytes: &[u8]) {
    match crossed.last_mut() {
        Some((last, joined)) if *last == leg => joined.extend_from_slice(bytes),
        _ => crossed.push((leg, bytes.to_vec())),
    }
}

/// What a session put out.
#[derive(Default)]
struct Seen {
    /// What each leg got, in order, before and after the session opened.
    greeted: Vec<(Leg, Vec<u8>)>,
    forwarded: Vec<(Leg, Vec<u8>)>,
    /// Everything else, by name.
    acts: Vec<&'static str>,
    logins: Vec<(String, String, Vec<u8>)>,
    events: Vec<AuditEvent>,
    key: Option<CancelKey>,
    cancelled: Vec<CancelKey>,
    concluded: Vec<bool>,
    closed: Option<CloseReason>,
    held: Vec<crate::model::approval::HoldRequest>,
    left: Vec<(crate::model::approval::ApprovalId, bool)>,
    returned: Vec<crate::model::approval::ApprovalId>,
}

impl Seen {
    fn to(&self, leg: Leg) -> Vec<u8> {
        let all = self.greeted.iter().chain(&self.forwarded).filter(|(its, _)| *its == leg);
        all.flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    /// Messages that the bot got, by tag.
    fn heard(&self) -> String {
        pg::tags(&self.to(Leg::Downstream))
    }

    /// Messages that the target got, by tag.
    fn got(&self) -> String {
        pg::tags(&self.to(Leg::Upstream))
    }
}

struct Visit<'h> {
    house: &'h House,
    session: Session,
    link: WorkerLink,
    classifier: Classifier,
    now: Now,
    /// Whoever asks for TLS, a verified login or a connection gets it at once.
    attended: bool,
    upstream_tls: bool,
    outputs: VecDeque<Output>,
    seen: Seen,
}

impl Visit<'_> {
    /// Asks for TLS, starts up and shows the token; the target's leg is connected.
    fn knock(&mut self) {
        self.bot(&pg::ssl_request());
        self.seen.greeted.clear();
        self.bot(&start_up());
        self.bot(&password());
    }

    fn bot(&mut self, bytes: &[u8]) {
        self.receive(Leg::Downstream, bytes);
    }

    fn target(&mut self, bytes: &[u8]) {
        self.receive(Leg::Upstream, bytes);
    }

    fn receive(&mut self, leg: Leg, bytes: &[u8]) {
        self.handle(Input::Received { leg, chunk: Chunk::from(bytes.to_vec()) });
    }

    /// Gives one input a millisecond after the last, and does what comes out.
    fn handle(&mut self, input: Input) {
        self.now.mono_ns += NS_PER_MS;
        self.now.unix_ns += NS_PER_MS;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut cx = Context {
                now: self.now,
                classifier: &mut self.classifier,
                recorder: &self.link,
                outputs: &mut self.outputs,
            };
            self.session.handle(input, &mut cx);
            while let Some(output) = self.outputs.pop_front() {
                assert_eq!(self.seen.closed, None, "something follows the close");
                inputs.extend(self.perform(output));
            }
        }
    }

    /// Notes the output; what answers it, if somebody attends.
    fn perform(&mut self, output: Output) -> Option<Input> {
        let answer = match output {
            Output::Greet { leg, bytes } => {
                self.seen.greeted.push((leg, bytes));
                None
            }
            Output::Forward { leg, chunk, proof } => {
                drop(proof);
                join(&mut self.seen.forwarded, leg, &chunk);
                None
            }
            Output::StartTls { leg, unread } => {
                assert!(unread.is_none(), "ciphertext in a scripted conversation");
                self.seen.acts.push("tls");
                Some(Input::TlsStarted { leg, facts: TlsFacts::default() })
            }
            Output::Verify(login) => {
                self.seen.acts.push("verify");
                let token = login.token.with(Clone::clone);
                self.seen.logins.push((login.user, login.database, token));
                Some(Input::Admitted(Box::new(self.house.admission())))
            }
            Output::Connect { .. } => {
                self.seen.acts.push("connect");
                let login = UpstreamLogin { tls: self.upstream_tls, ..pg::plain_login() };
                Some(Input::Connected { login, catalogue: self.house.catalogue.clone() })
            }
            Output::DeliverCancel(key) => {
                self.seen.acts.push("deliver cancel");
                self.seen.key = Some(key);
                None
            }
            Output::AnnounceCancelKey(key) => {
                self.seen.key = Some(key);
                None
            }
            Output::CancelAtTarget { key, .. } => {
                self.seen.cancelled.push(key);
                None
            }
            Output::Hold(request) => {
                self.seen.held.push(*request);
                None
            }
            Output::LeaveHold { id, withdraw } => {
                self.seen.left.push((id, withdraw));
                None
            }
            Output::ReturnApproval { id } => {
                self.seen.returned.push(id);
                None
            }
            Output::Emit(event) => {
                self.seen.events.push(*event);
                None
            }
            Output::Concluded { denied, .. } => {
                self.seen.concluded.push(denied);
                None
            }
            Output::Close { reason } => {
                self.seen.closed = Some(reason);
                None
            }
        };
        answer.filter(|_| self.attended)
    }

    fn event_names(&self) -> Vec<&'static str> {
        let name = |event: &AuditEvent| match &event.what {
            What::LoginRefused { .. } => "login refused",
            What::SessionStarted => "started",
            What::SessionEnded { .. } => "ended",
            What::Statement(_) => "statement",
            What::RefusalsUntold { .. } => "untold",
            What::CancelRequested => "cancel",
            What::ApprovalAsked { .. } => "asked",
            What::ApprovalUsed { .. } => "used",
            other @ (What::ApprovalDecided { .. }
            | What::ConfigReloaded { .. }
            | What::ReloadRefused { .. }
            | What::MaskUnmatched { .. }
            | What::RecordingFailed { .. }
            | What::RecordingRestored
            | What::Killed { .. }
            | What::ApprovalUnheard { .. }
            | What::EventsLost { .. }) => panic!("{other:?} is not a session's to tell"),
        };
        self.seen.events.iter().map(name).collect()
    }
}

fn principal() -> Principal {
    Principal {
        account: "ci".into(),
        issuer: "github".into(),
        subject: "repo:acme/shop".into(),
        token_id: None,
        expires_unix_s: 1_700_000_600,
        claims: Arc::new(BTreeMap::new()),
    }
}

fn target() -> Arc<Target> {
    Arc::new(Target {
        name: "shop".into(),
        protocol: Protocol::Postgres,
        host: "127.0.0.1".into(),
        port: 5432,
        tls: UpstreamTls::Disable,
        client_cert: None,
        labels: Arc::new(BTreeMap::new()),
    })
}

fn start_up() -> Vec<u8> {
    pg::startup(0x0003_0000, &[("user", "ci"), ("database", "shop")])
}

fn password() -> Vec<u8> {
    pg::frame(b'p', &[TOKEN, b"\0"].concat())
}

const TARGET_KEY: [u8; 4] = [1, 2, 3, 4];

/// The target accepts without asking, tells its settings and its key, and is ready.
fn target_login() -> Vec<u8> {
    let key = [&[0, 0, 0, 42], &TARGET_KEY[..]].concat();
    [pg::frame(b'R', &[0; 4]), pg::settings(), pg::frame(b'K', &key), pg::z(b'I')].concat()
}

/// A result of one row.
fn one_row() -> Vec<u8> {
    [pg::columns(), pg::row(), pg::done("SELECT 1"), pg::z(b'I')].concat()
}
