//! The gateway under test: the real binary, its configuration file, its commands.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::support::process::{Process, Scratch, accepts, eventually};

/// Which I/O driver the gateway shall use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    Auto,
    Uring,
    Epoll,
}

impl Driver {
    /// What `make test` asks for; whatever fits the machine, where nobody asks.
    pub fn under_test() -> Self {
        match std::env::var("NARROWS_TEST_DRIVER").as_deref() {
            Ok("uring") => Self::Uring,
            Ok("epoll") => Self::Epoll,
            Ok("auto") | Err(_) => Self::Auto,
            Ok(other) => panic!("NARROWS_TEST_DRIVER={other}: uring, epoll or auto"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

pub struct Gateway {
    scratch: Scratch,
    ports: Vec<u16>,
    environment: Vec<(String, String)>,
    process: Process,
}

impl Gateway {
    /// Serves `config` until dropped; returns when each of `ports` and the admin socket
    /// accept. In the configuration,
    /// `STATE` stands for the state folder, `DRIVER` for the driver under test. `environment` is
    /// set beside what the tests run in.
    pub fn start(config: &str, ports: &[u16], environment: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new("gateway");
        let state = scratch.join("state");
        fs::create_dir(&state).unwrap();
        let config = config
            .replace("STATE", state.to_str().unwrap())
            .replace("DRIVER", Driver::under_test().name());
        fs::write(scratch.join("narrows.toml"), config).unwrap();
        let environment: Vec<(String, String)> =
            environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let process = launch(&scratch, ports, &environment);
        Self { scratch, ports: ports.to_vec(), environment, process }
    }

    pub fn config(&self) -> PathBuf {
        self.scratch.join("narrows.toml")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.scratch.join("state")
    }

    /// The audit events so far, of a gateway that is configured with `EVENTS`.
    pub fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state_dir().join("events.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything that the gateway has written to its log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory now.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// No word of farewell. The kernel takes a dead process's ring apart in its own time, and until
    /// then its listeners still take connections.
    pub fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.wait(Duration::from_secs(10));
        eventually("the killed gateway's ports are given up", Duration::from_secs(10), || {
            !self.ports.iter().any(|&port| accepts(port))
        });
    }

    /// SIGTERM, and the exit status within a drain's patience.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.process.signal("TERM");
        self.process.wait(Duration::from_secs(20))
    }

    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Serves again, from the same files.
    pub fn restart(&mut self) {
        self.process = launch(&self.scratch, &self.ports, &self.environment);
    }

    /// `narrows ARGUMENTS -c narrows.toml`, to its end.
    pub fn command(&self, arguments: &[&str]) -> Output {
        Command::new(NARROWS)
            .args(arguments)
            .arg("-c")
            .arg(self.config())
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }

    /// Starts `narrows ARGUMENTS -c narrows.toml`, which goes on until it is dropped; its output is
    /// its log.
    pub fn follow(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(NARROWS);
        command.args(arguments).arg("-c").arg(self.config()).env("NO_COLOR", "1");
        Process::start("narrows", &mut command, &self.scratch.join("follow.log"))
    }

    /// Standard output of a command that must succeed.
    pub fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "narrows {arguments:?}: {stdout}\n{stderr}");
        stdout
    }

    /// The JSON values that a command prints, which must succeed.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.stdout(&[arguments, &["--json"]].concat());
        let values = serde_json::Deserializer::from_str(&text).into_iter();
        values.map(|value| value.unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
    }
}

fn launch(scratch: &Scratch, ports: &[u16], environment: &[(String, String)]) -> Process {
    let mut process = Process::start(
        "narrows",
        Command::new(NARROWS)
            .args(["run", "-c"])
            .arg(scratch.join("narrows.toml"))
            .env("NO_COLOR", "1")
            .envs(environment.iter().cloned()),
        &scratch.join("narrows.log"),
    );
    let socket = scratch.join("state/admin.sock");
    process.until(Duration::from_secs(20), || {
        ports.iter().all(|&port| accepts(port)) && UnixStream::connect(&socket).is_ok()
    });
    process
}

/// What a configuration ends with to have audit events in a file of the state folder.
pub const EVENTS: &str = "\n[[sink]]\nkind = \"file\"\npath = \"STATE/events.jsonl\"\n";

pub const NARROWS: &str = env!("CARGO_BIN_EXE_narrows");
