mod reviewing;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::control::Swapped;
use crate::control::api::KillRequest;
use crate::control::client::{Client, ClientError};
use crate::model::session::{KillScope, SessionId, Totals};
use crate::observe::metrics::{
    Counters, Gauges, KeySetState, NodeView, RecorderStats, SessionView, WorkerReport,
    latency_histogram,
};
use crate::observe::sink::EventSink;

/// Workers whose sessions are a list, and one that may be made to hang.
struct Flotilla {
    sessions: Mutex<Vec<SessionView>>,
    recorder_failed: bool,
    hanging: bool,
    /// Senders of questions that a hanging worker keeps without answering.
    kept: Mutex<Vec<oneshot::Sender<WorkerReport>>>,
    diagnostics: Vec<String>,
}

impl Flotilla {
    fn new() -> Self {
        let view = |number: u64, account: &str, target: &str| SessionView {
            id: SessionId::at(number),
            account: account.into(),
            target: target.into(),
            database: "shop".into(),
            peer: "10.0.0.1:5000".parse().unwrap(),
            started_unix_ns: number,
            totals: Totals { exchanges: number, ..Totals::default() },
            state: "idle",
            worker: (number % 2) as u16,
        };
        let sessions =
            vec![view(3, "etl", "shop-db"), view(1, "deploy", "shop-db"), view(2, "etl", "crm-db")];
        Self {
            sessions: Mutex::new(sessions),
            recorder_failed: false,
            hanging: false,
            kept: Mutex::default(),
            diagnostics: Vec::new(),
        }
    }
}

impl Fleet for Flotilla {
    fn reports(&self) -> Vec<oneshot::Receiver<WorkerReport>> {
        let report = |worker: u16| {
            let (sender, receiver) = oneshot::channel();
            if self.hanging && worker == 1 {
                self.kept.lock().unwrap().push(sender);
                return receiver;
            }
            let mut latency = latency_histogram().unwrap();
            latency.saturating_record(250);
            let mut sessions = self.sessions.lock().unwrap().clone();
            sessions.retain(|session| session.worker == worker);
            let report = WorkerReport {
                worker,
                driver: "epoll",
                counters: Counters { statements_allowed: 5, ..Counters::default() },
                gauges: Gauges::default(),
                latency,
                sessions,
            };
            assert!(sender.send(report).is_ok());
            receiver
        };
        vec![report(1), report(0)]
    }

    fn kill(&self, scope: &KillScope) -> Vec<oneshot::Receiver<u64>> {
        let mut sessions = self.sessions.lock().unwrap();
        let answer = |worker: u16| {
            let before = sessions.len();
            sessions.retain(|session| {
                session.worker != worker
                    || !match scope {
                        KillScope::Session(id) => session.id == *id,
                        KillScope::Account(name) => *session.account == **name,
                        KillScope::Target(name) => *session.target == **name,
                        KillScope::All => true,
                    }
            });
            let (sender, receiver) = oneshot::channel();
            sender.send((before - sessions.len()) as u64).unwrap();
            receiver
        };
        [0, 1].into_iter().map(answer).collect()
    }

    fn reload(&self) -> Result<Swapped, Vec<String>> {
        if self.diagnostics.is_empty() {
            let (applied, answer) = oneshot::channel();
            applied.send(()).unwrap();
            let (_gone, silent) = oneshot::channel();
            Ok(Swapped { version: "v2".to_owned(), applied: vec![answer, silent] })
        } else {
            Err(self.diagnostics.clone())
        }
    }

    fn recorder(&self) -> RecorderStats {
        RecorderStats {
            queue_bytes: 0,
            blocks: 9,
            raw_bytes: 4000,
            stored_bytes: 1000,
            commits: 3,
            commit_us: latency_histogram().unwrap(),
            losses: 0,
            failed: self.recorder_failed,
        }
    }

    fn key_sets(&self) -> Vec<KeySetState> {
        vec![KeySetState {
            issuer: "github".to_owned(),
            keys: 2,
            fetched_unix_s: Some(1),
            failure: None,
        }]
    }

    fn node(&self) -> NodeView {
        NodeView {
            name: "edge-1".to_owned(),
            version: "0.1.0".to_owned(),
            started_unix_ns: 1,
            driver: "epoll".to_owned(),
            driver_report: vec!["io_uring is forbidden here".to_owned()],
            config_version: "v1".to_owned(),
            workers: 2,
        }
    }
}

/// Admin endpoints that serve, on a thread of their own.
struct Served {
    dir: TempDir,
    address: SocketAddr,
    approvals: Arc<Approvals>,
    shutdown: watch::Sender<bool>,
    thread: JoinHandle<()>,
    sink: EventSink,
}

impl Served {
    fn start(flotilla: Flotilla) -> Self {
        Self::start_with(flotilla, None)
    }

    fn start_with(flotilla: Flotilla, tls: Option<Arc<ServerConfig>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (events, sink) = EventSink::start(&dir.path().join("events.jsonl"), "edge-1").unwrap();
        let admin = Admin::bind(
            &dir.path().join("admin.sock"),
            Some("127.0.0.1:0".parse().unwrap()),
            tls,
            Reach::Operator,
        )
        .unwrap();
        let approvals = Approvals::open(&dir.path().join("state.db"), events.clone()).unwrap();
        let approvals = Arc::new(approvals);
        let kept = Arc::clone(&approvals);
        let address = admin.address().unwrap();
        let (shutdown, told) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(admin.serve(Arc::new(flotilla), events, kept, told))
                .unwrap();
        });
        Self { dir, address, approvals, shutdown, thread, sink }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    fn client(&self) -> Client {
        Client::new(&self.socket())
    }

    /// Sends `request` over the Unix socket and returns all that comes back.
    fn raw(&self, request: &str) -> String {
        talk(StdUnixStream::connect(self.socket()).unwrap(), request)
    }

    fn raw_tcp(&self, request: &str) -> String {
        talk(std::net::TcpStream::connect(self.address).unwrap(), request)
    }

    /// Ends in order; the audit events by their codes, with whom they name.
    fn finish(self) -> Vec<(String, String)> {
        self.shutdown.send(true).unwrap();
        self.thread.join().unwrap();
        assert!(!self.dir.path().join("admin.sock").exists());
        self.sink.finish();
        let text = std::fs::read_to_string(self.dir.path().join("events.jsonl")).unwrap();
        let code = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&record["metadata"]["event_code"]), text(&record["actor"]["user"]["name"]))
        };
        text.lines().map(code).collect()
    }
}

fn talk(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // A server that hangs up on a flood resets the connection; what came before still counts.
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let bytes = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n{body}"
    )
}

#[test]
fn status_adds_up_what_the_workers_report() {
    let served = Served::start(Flotilla::new());
    let status = served.client().status().unwrap();
    assert_eq!(status.node.name, "edge-1");
    assert_eq!(status.sessions, 3);
    assert_eq!(status.workers_silent, 0);
    assert_eq!(status.counters.statements_allowed, 10);
    assert_eq!(status.latency.count, 2);
    assert_eq!(status.recorder.stored_bytes, 1000);
    assert_eq!(status.key_sets[0].issuer, "github");
    let workers: Vec<u16> = status.workers.iter().map(|line| line.worker).collect();
    assert_eq!(workers, [0, 1]);
    assert!(served.finish().is_empty(), "to look is no event");
}

#[test]
fn sessions_come_oldest_first() {
    let served = Served::start(Flotilla::new());
    let sessions = served.client().sessions().unwrap().sessions;
    let started: Vec<u64> = sessions.iter().map(|line| line.started_unix_ns).collect();
    assert_eq!(started, [1, 2, 3]);
    assert_eq!(sessions[0].account, "deploy");
    assert_eq!(sessions[0].totals.exchanges, 1);
    served.finish();
}

#[test]
fn a_kill_ends_its_scope_and_is_audited_with_the_operator() {
    let served = Served::start(Flotilla::new());
    let client = served.client();
    let id = client.sessions().unwrap().sessions[0].id.parse().unwrap();
    assert_eq!(client.kill(&KillRequest::Session(id)).unwrap().ended, 1);
    assert_eq!(client.kill(&KillRequest::Account("nobody".to_owned())).unwrap().ended, 0);
    assert_eq!(client.kill(&KillRequest::Target("crm-db".to_owned())).unwrap().ended, 1);
    assert_eq!(client.kill(&KillRequest::All).unwrap().ended, 1);
    assert_eq!(client.sessions().unwrap().sessions, []);
    let events = served.finish();
    assert_eq!(events.len(), 4);
    for (code, by) in events {
        assert_eq!(code, "session.kill");
        assert!(by.starts_with("uid ") && by.contains(&std::process::id().to_string()), "{by}");
    }
}

#[test]
fn a_reload_answers_with_the_version_or_every_diagnostic() {
    let served = Served::start(Flotilla::new());
    let reloaded = served.client().reload().unwrap();
    assert_eq!((reloaded.version.as_str(), reloaded.workers_silent), ("v2", 1));
    assert_eq!(served.finish()[0].0, "config.reload");
    let diagnostics = vec!["a.toml:1: one".to_owned(), "a.toml:2: two".to_owned()];
    let served = Served::start(Flotilla { diagnostics: diagnostics.clone(), ..Flotilla::new() });
    let Err(ClientError::Refused { status, problem }) = served.client().reload() else {
        panic!("the reload was taken")
    };
    assert_eq!((status, problem.details), (422, diagnostics));
    assert_eq!(served.finish().len(), 1);
}

#[test]
fn the_tcp_address_serves_strangers_metrics_and_health_and_nothing_else() {
    let served = Served::start(Flotilla::new());
    let metrics = served.raw_tcp(&get("/metrics"));
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    assert!(metrics.contains("text/plain; version=0.0.4"));
    assert!(metrics.contains("\nnarrows_sessions{target=\"shop-db\"} 2\n"), "{metrics}");
    assert!(served.raw_tcp(&get("/healthz")).ends_with("\r\n\r\nok\n"));
    for request in [
        get("/v1/status"),
        get("/v1/sessions"),
        post("/v1/kill", "\"all\""),
        post("/v1/reload", ""),
    ] {
        let refused = served.raw_tcp(&request);
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        assert!(refused.contains("over the admin socket"), "{refused}");
    }
    assert_eq!(served.client().sessions().unwrap().sessions.len(), 3);
    assert!(served.finish().is_empty());
}

#[test]
fn health_fails_with_the_recorder_and_with_a_silent_worker() {
    let served = Served::start(Flotilla { recorder_failed: true, ..Flotilla::new() });
    let answer = served.raw(&get("/healthz"));
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("recorder"), "{answer}");
    served.finish();
    let served = Served::start(Flotilla { hanging: true, ..Flotilla::new() });
    let answer = served.raw(&get("/healthz"));
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("silent"), "{answer}");
    assert_eq!(served.client().status().unwrap().workers_silent, 1);
    served.finish();
}

#[test]
fn wrong_requests_get_a_refusal_that_explains() {
    let served = Served::start(Flotilla::new());
    let long = format!("{{\"account\": \"{}\"}}", "x".repeat(ADMIN_BODY_BYTES_MAX));
    let head = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(ADMIN_HEAD_BYTES_MAX));
    for (request, status, text) in [
        (get("/v2/status"), "404", "nothing at this path"),
        (get("/v1/kill"), "405", "POST only"),
        (post("/v1/status", ""), "405", "GET only"),
        (post("/v1/kill", "{\"everything\": 1}"), "400", "say whom to end"),
        (post("/v1/kill", "{\"session\": \"no-uuid\"}"), "400", "say whom to end"),
        (post("/v1/kill", &long), "413", "too large"),
        (head, "4", ""),
        ("NONSENSE\r\n\r\n".to_owned(), "400", ""),
    ] {
        let answer = served.raw(&request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(text), "{answer}");
    }
    assert_eq!(served.client().sessions().unwrap().sessions.len(), 3, "and nothing happened");
    assert!(served.finish().is_empty());
}

#[test]
fn a_crowd_on_the_tcp_address_keeps_no_operator_out() {
    let served = Served::start(Flotilla::new());
    let crowd: Vec<_> = (0..2 * ADMIN_CONNECTIONS_MAX)
        .map(|_| std::net::TcpStream::connect(served.address).unwrap())
        .collect();
    assert_eq!(served.client().status().unwrap().sessions, 3);
    drop(crowd);
    served.finish();
}

#[test]
fn a_missing_socket_asks_whether_narrows_is_running() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let error = Client::new(&path).status().unwrap_err().to_string();
    assert!(error.contains("is narrows running?") && error.contains("admin.sock"), "{error}");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = Client::new(&path).status().unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
}
