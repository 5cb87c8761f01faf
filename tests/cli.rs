//! The binary as scripts see it: exit codes, what goes to which stream, and what a running gateway
//! is asked. The gateway here is the real admin endpoint in front of a small fleet.
#![expect(clippy::unwrap_used, reason = "tests, and helpers of tests")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use narrows::control::admin::{Admin, Reach};
use narrows::control::approvals::Approvals;
use narrows::control::{Fleet, Swapped};
use narrows::model::session::{KillScope, SessionId, Totals};
use narrows::observe::metrics::{
    Counters, Gauges, KeySetState, NodeView, RecorderStats, SessionView, WorkerReport,
    latency_histogram,
};
use narrows::observe::sink::EventQueue;
use tokio::sync::{oneshot, watch};

struct OneWorker {
    sessions: Mutex<Vec<SessionView>>,
}

impl OneWorker {
    fn with_sessions(count: u64) -> Self {
        let view = |number: u64| SessionView {
            id: SessionId::at(number),
            account: "deploy".into(),
            target: "shop-db".into(),
            database: "shop\u{1b}[31m".into(),
            peer: "10.0.0.1:5000".parse().unwrap(),
            started_unix_ns: number,
            totals: Totals::default(),
            state: "idle",
            worker: 0,
        };
        Self { sessions: Mutex::new((1..=count).map(view).collect()) }
    }
}

fn answered<T>(answer: T) -> Vec<oneshot::Receiver<T>> {
    let (sender, receiver) = oneshot::channel();
    assert!(sender.send(answer).is_ok());
    vec![receiver]
}

impl Fleet for OneWorker {
    fn reports(&self) -> Vec<oneshot::Receiver<WorkerReport>> {
        answered(WorkerReport {
            worker: 0,
            driver: "uring",
            counters: Counters::default(),
            gauges: Gauges::default(),
            latency: latency_histogram().unwrap(),
            sessions: self.sessions.lock().unwrap().clone(),
        })
    }

    fn kill(&self, scope: &KillScope) -> Vec<oneshot::Receiver<u64>> {
        let mut sessions = self.sessions.lock().unwrap();
        let before = sessions.len();
        sessions.retain(|session| match scope {
            KillScope::Session(id) => session.id != *id,
            KillScope::Account(name) => *session.account != **name,
            KillScope::Target(name) => *session.target != **name,
            KillScope::All => false,
        });
        answered((before - sessions.len()) as u64)
    }

    /// Fails while sessions live, so that one fleet shows both answers.
    fn reload(&self) -> Result<Swapped, Vec<String>> {
        if self.sessions.lock().unwrap().is_empty() {
            return Ok(Swapped { version: "4be1c9".to_owned(), applied: answered(()) });
        }
        Err(vec!["narrows.toml:3: unknown key".to_owned(), "narrows.toml:9: bad".to_owned()])
    }

    fn recorder(&self) -> RecorderStats {
        RecorderStats {
            queue_bytes: 0,
            blocks: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            commits: 0,
            commit_us: latency_histogram().unwrap(),
            losses: 0,
            failed: false,
        }
    }

    fn key_sets(&self) -> Vec<KeySetState> {
        Vec::new()
    }

    fn node(&self) -> NodeView {
        NodeView {
            name: "edge-1".to_owned(),
            version: "0.1.0".to_owned(),
            started_unix_ns: 1,
            driver: "uring".to_owned(),
            driver_report: Vec::new(),
            config_version: "v1".to_owned(),
            workers: 1,
        }
    }
}

struct Gateway {
    shutdown: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Gateway {
    fn start(socket: &Path, sessions: u64) -> Self {
        let admin = Admin::bind(socket, None, None, Reach::Operator).unwrap();
        let state = socket.with_extension("db");
        let (shutdown, told) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let fleet = Arc::new(OneWorker::with_sessions(sessions));
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let events = EventQueue::discarding();
            let approvals = Arc::new(Approvals::open(&state, events.clone()).unwrap());
            runtime.block_on(admin.serve(fleet, events, approvals, told)).unwrap();
        });
        Self { shutdown, thread }
    }

    fn stop(self) {
        self.shutdown.send(true).unwrap();
        self.thread.join().unwrap();
    }
}

fn narrows(line: &str, socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narrows"));
    command.args(line.split_whitespace()).env("NARROWS_SOCKET", socket);
    command.env("NARROWS_CONFIG", "/nonexistent/narrows.toml").stdin(Stdio::null());
    command
}

fn run(line: &str, socket: &Path) -> (i32, String, String) {
    let Output { status, stdout, stderr } = narrows(line, socket).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn without_a_gateway_every_question_exits_with_3_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    for line in ["status", "sessions", "kill --all", "reload", "status --json"] {
        let (code, stdout, stderr) = run(line, &socket);
        assert_eq!((code, stdout.as_str()), (3, ""), "{line}: {stderr}");
        assert!(stderr.contains("is narrows running?"), "{stderr}");
    }
}

#[test]
fn help_succeeds_on_stdout_and_nonsense_fails_on_stderr() {
    let nowhere = Path::new("/nonexistent");
    for line in ["--help", "kill --help", "--version", "help status"] {
        let (code, stdout, stderr) = run(line, nowhere);
        assert_eq!((code, stderr.as_str()), (0, ""), "{line}");
        assert!(stdout.contains("narrows"), "{stdout}");
    }
    for line in ["", "frobnicate", "kill", "status --colour"] {
        let (code, stdout, stderr) = run(line, nowhere);
        assert_eq!((code, stdout.as_str()), (2, ""), "{line}");
        assert!(stderr.contains("Usage"), "{stderr}");
    }
}

#[test]
fn a_running_gateway_answers_and_the_codes_tell_how() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let gateway = Gateway::start(&socket, 2);

    let (code, stdout, _) = run("status", &socket);
    assert_eq!(code, 0);
    assert!(stdout.contains("edge-1") && stdout.contains("2 live"), "{stdout}");

    let (code, stdout, _) = run("sessions", &socket);
    assert_eq!(code, 0);
    assert_eq!(stdout.lines().count(), 3);
    assert!(stdout.contains("shop\\x1b[31m") && !stdout.contains('\u{1b}'), "{stdout}");

    let (code, stdout, _) = run("sessions --json", &socket);
    let sessions: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let id = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(code, 0);
    let (_, stdout, _) = run("sessions --target other", &socket);
    assert_eq!(stdout, "no live sessions\n");

    let (code, stdout, stderr) = run("reload", &socket);
    assert_eq!((code, stdout.as_str()), (4, ""));
    assert!(stderr.contains("toml:3: unknown key") && stderr.contains("toml:9"), "{stderr}");
    let (code, stdout, _) = run("reload --json", &socket);
    let problem: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, problem["details"].as_array().unwrap().len()), (4, 2));

    let (code, stdout, _) = run(&format!("kill --session {id}"), &socket);
    assert_eq!((code, stdout.as_str()), (0, "1 session was ended\n"));
    let (code, stdout, _) = run("kill --account deploy --json", &socket);
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["ended"], 1);
    let (code, stdout, _) = run("kill --all", &socket);
    assert_eq!((code, stdout.as_str()), (1, "no session was ended\n"));

    let (code, stdout, _) = run("reload", &socket);
    assert_eq!((code, stdout.as_str()), (0, "configuration 4be1c9 is in force\n"));
    gateway.stop();
    assert_eq!(run("status", &socket).0, 3);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let gateway = Gateway::start(&socket, 5_000);
    let mut child = narrows("sessions", &socket).stdout(Stdio::piped()).spawn().unwrap();
    // More than a pipe holds is still to come when the reading end closes.
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    gateway.stop();
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&format!("completions {shell}"), Path::new("/nonexistent"));
        assert_eq!(code, 0);
        for word in ["status", "sessions", "kill", "reload"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn cases_that_fail_exit_with_4_and_cases_that_cannot_be_read_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let (config, cases) = (dir.path().join("narrows.toml"), dir.path().join("cases.toml"));
    std::fs::write(&config, CONFIG).unwrap();
    let test = |text: &str| {
        std::fs::write(&cases, text).unwrap();
        let line = format!("policy test {} -c {}", cases.display(), config.display());
        run(&line, Path::new("/nonexistent"))
    };
    let case = "[[case]]\nname = \"x\"\nconnection = \"deploy@db\"\nstatement = \"SELECT 1\"\n";
    let (code, stdout, stderr) = test(&format!("{case}expect = \"deny\"\n"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, "1 statement in 1 case: all as expected\n");
    let (code, stdout, _) = test(&format!("{case}expect = \"allow\"\n"));
    assert_eq!(code, 4);
    assert!(stdout.contains("expected: allow\n  came: deny by p/default\n"), "{stdout}");
    let (code, stdout, stderr) = test(case);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("cases.toml:1: `case.expect` is missing"), "{stderr}");
}

const CONFIG: &str = r#"
[node]
name = "n"
state_dir = "state"
[[issuer]]
name = "ci"
issuer = "https://ci.example"
audiences = ["narrows"]
[[service_account]]
name = "deploy"
match = [{ issuer = "ci", claims = { sub = "x" } }]
[[target]]
name = "db"
protocol = "postgres"
address = "127.0.0.1:5432"
[[listener]]
target = "db"
bind = "127.0.0.1:6432"
tls = "off"
[[connection]]
service_account = "deploy"
target = "db"
credential = { username = "app" }
policies = ["p"]
[policy.p]
default = "deny"
"#;
