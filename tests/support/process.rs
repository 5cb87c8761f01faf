//! Child processes that cannot outlive the tests, their output in files, and scratch folders.
//!
//! A test binary may end in any way: a static is never dropped, an abort runs no destructor. So a
//! small shell, the reaper, holds the far end of a pipe and knows what to end and what to remove
//! when the pipe closes.

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A running program. Dropping it ends it.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, both outputs into `log` unless the caller has set up its own.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Self::spawn(name, command, log)
    }

    /// As `start`, with standard input and output as pipes.
    pub fn start_piped(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        Self::spawn(name, command, log)
    }

    fn spawn(name: &str, command: &mut Command, log: &Path) -> Self {
        // Its own process group: an interrupt at the terminal is the reaper's business.
        let child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({error}): run `make setup`"));
        reaper_say(&format!("kill {}", child.id()));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal by its name, as `kill -NAME` does.
    pub fn signal(&self, signal: &str) {
        let status =
            Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()).status();
        assert!(status.unwrap().success(), "{} takes no {signal}", self.name);
    }

    /// Waits for the end; at the deadline the process is killed and the test fails.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                reaper_say(&format!("forget {}", self.id()));
                return status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("{} still runs after {patience:?}:\n{}", self.name, self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until `ready` says so; fails the test if the process ends or time runs out first.
    pub fn until(&mut self, patience: Duration, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + patience;
        while !ready() {
            assert!(self.running(), "{} ended:\n{}", self.name, self.log());
            assert!(
                Instant::now() < deadline,
                "{} is not ready after {patience:?}:\n{}",
                self.name,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        reaper_say(&format!("forget {}", self.id()));
    }
}

/// A folder that goes with its owner, or with the test binary.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = tempfile::Builder::new()
            .prefix(&format!("narrows-{name}-"))
            .disable_cleanup(true)
            .tempdir()
            .unwrap()
            .path()
            .to_owned();
        reaper_say(&format!("rm {}", path.display()));
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A small file system of a test's own, which it can fill.
pub struct SmallDisk {
    scratch: Scratch,
}

impl SmallDisk {
    /// `None`, and a word on why, where this user may mount nothing.
    pub fn mount(size: &str) -> Option<Self> {
        let scratch = Scratch::new("disk");
        reaper_say(&format!("umount {}", scratch.path().display()));
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "narrows-test"]);
        let mounted = mount.arg(scratch.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { scratch }),
            Ok(output) => {
                eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("skipped: mount does not start ({error})");
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Takes every byte that is free, until `relieve`.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for bytes in [1 << 20, 4096] {
            while filler.write_all(&vec![b'x'; bytes]).is_ok() {}
        }
    }

    pub fn relieve(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.scratch.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the gateway that writes to it may be ending still.
        let _ = Command::new("umount").arg("-l").arg(self.scratch.path()).status();
    }
}

/// A port that nobody listens on now and that is given out once. Whoever wants it binds it soon.
///
/// From below the range in which the kernel looks for the near end of a connection, or a client
/// could take it in the meantime.
pub fn free_port() -> u16 {
    static GIVEN_OUT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORT_COUNT {
        // Test binaries that run side by side begin at different places.
        let step = GIVEN_OUT.fetch_add(1, Ordering::Relaxed);
        let offset = std::process::id().wrapping_mul(331).wrapping_add(step) % PORT_COUNT;
        let port = u16::try_from(PORT_FIRST + offset).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

pub fn accepts(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Polls `ready` until it is true; fails with `what` at the deadline.
pub fn eventually(what: &str, patience: Duration, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !ready() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command to its end and returns its standard output; fails the test with all of it.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start ({error}): run `make setup`"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

fn reaper_say(line: &str) {
    static REAPER: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let reaper = REAPER.get_or_init(|| {
        #[expect(clippy::zombie_processes, reason = "it ends after this process, by design")]
        let mut child = Command::new("sh")
            .args(["-c", REAPER_SCRIPT])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Mutex::new(child.stdin.take().unwrap())
    });
    let _ = writeln!(reaper.lock().unwrap(), "{line}");
}

const PORT_FIRST: u32 = 12_000;
const PORT_COUNT: u32 = 20_000;

/// SIGINT lets PostgreSQL give its shared memory back; what is deaf to it is killed.
const REAPER_SCRIPT: &str = r#"
while read -r verb what; do
    case $verb in
        kill) pids="$pids $what " ;;
        forget) pids=$(echo "$pids" | sed "s/ $what / /g") ;;
        rm) paths="$paths $what" ;;
        umount) mounts="$mounts $what" ;;
    esac
done
if [ -n "$(echo $pids)" ]; then kill -INT $pids; sleep 1; kill -KILL $pids; sleep 0.2; fi
for mount in $mounts; do umount -l "$mount"; done
rm -rf $paths
"#;
