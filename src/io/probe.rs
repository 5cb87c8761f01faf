//! Asks the kernel, feature by feature, whether the io_uring driver will work here. Knows what is
//! needed, why it may be missing and what would mend it; does not choose for the operator.

use std::fmt;
use std::net::TcpListener;
use std::{fs, io};

use io_uring::{Probe, opcode};

use crate::io::driver::{Choice, Completion, Driver, DriverKind};
use crate::io::uring::{Lending, Ring, UringShard};
use crate::io::{Chunk, DriverError};
use crate::limits::RING_ENTRIES;

/// What was found, in the order in which it was tried. The first missing feature ends the probe,
/// for the later ones rest on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub features: Vec<Feature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    pub finding: Finding,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Works,
    Missing { why: String, mend: &'static str },
}

/// io_uring was demanded and does not work here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("io_uring does not work here ({feature}: {why}); {mend}")]
pub struct UringUnavailable {
    pub feature: &'static str,
    pub why: String,
    pub mend: &'static str,
}

impl Report {
    /// The driver to open. `Auto` takes what works.
    pub fn choose(&self, choice: Choice) -> Result<DriverKind, UringUnavailable> {
        match (choice, self.missing()) {
            (Choice::Epoll, _) | (Choice::Auto, Some(_)) => Ok(DriverKind::Epoll),
            (Choice::Auto | Choice::Uring, None) => Ok(DriverKind::Uring),
            (Choice::Uring, Some(unavailable)) => Err(unavailable),
        }
    }

    /// What keeps io_uring from working, if anything.
    #[must_use]
    pub fn missing(&self) -> Option<UringUnavailable> {
        self.features.iter().find_map(|feature| match &feature.finding {
            Finding::Works => None,
            Finding::Missing { why, mend } => {
                Some(UringUnavailable { feature: feature.name, why: why.clone(), mend })
            }
        })
    }
}

/// One line a feature.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for feature in &self.features {
            match &feature.finding {
                Finding::Works => writeln!(f, "{}: works", feature.name)?,
                Finding::Missing { why, mend } => {
                    writeln!(f, "{}: missing, {why}; {mend}", feature.name)?;
                }
            }
        }
        Ok(())
    }
}

/// Tries everything that `UringShard` needs. Makes rings of its own and one loopback connection;
/// leaves nothing behind.
#[must_use]
pub fn probe() -> Report {
    let mut features = Vec::new();
    for (name, step) in STEPS {
        let finding = step();
        let ends = finding != Finding::Works;
        features.push(Feature { name, finding });
        if ends {
            break;
        }
    }
    Report { features }
}

fn system_setting() -> Finding {
    match io_uring_disabled() {
        Some(2) => Finding::Missing {
            why: "the system forbids it to every process (kernel.io_uring_disabled = 2)".into(),
            mend: "run `sysctl kernel.io_uring_disabled=0` on the host",
        },
        // One means privileged processes only; whether that is us, making a ring tells.
        Some(_) | None => Finding::Works,
    }
}

fn ring_creation() -> Finding {
    match Ring::new(RING_ENTRIES) {
        Ok(_) => Finding::Works,
        Err(error) => Finding::Missing {
            why: format!("io_uring_setup says: {error}"),
            mend: mend_creation(&error, io_uring_disabled()),
        },
    }
}

fn operations() -> Finding {
    let mut probe = Probe::new();
    let asked = Ring::new(8).and_then(|ring| ring.kernel().submitter().register_probe(&mut probe));
    if let Err(error) = asked {
        return Finding::Missing {
            why: format!("the kernel does not say which operations it has: {error}"),
            mend: MEND_PROFILE,
        };
    }
    let lacking: Vec<&str> = OPERATIONS
        .iter()
        .filter(|(_, code)| !probe.is_supported(*code))
        .map(|(name, _)| *name)
        .collect();
    if lacking.is_empty() {
        return Finding::Works;
    }
    Finding::Missing { why: format!("the kernel lacks {}", lacking.join(", ")), mend: MEND_KERNEL }
}

fn buffer_ring() -> Finding {
    let registered = Ring::new(8).and_then(|ring| {
        // SAFETY: `ring` is dropped by name, before the buffers.
        let lending = unsafe { Lending::register(&ring) };
        drop(ring);
        lending.map(drop)
    });
    match registered {
        Ok(()) => Finding::Works,
        Err(error) => Finding::Missing {
            why: format!("a ring of buffers cannot be registered: {error}"),
            mend: match error.raw_os_error() {
                Some(libc::ENOMEM) => MEND_MEMLOCK,
                Some(libc::EPERM | libc::EACCES) => MEND_PROFILE,
                _ => MEND_KERNEL,
            },
        },
    }
}

fn round_trip() -> Finding {
    match try_round_trip() {
        Ok(()) => Finding::Works,
        Err(failure) => Finding::Missing {
            why: match failure {
                TripFailure::Listen(error) => {
                    format!("a loopback listener cannot be opened: {error}")
                }
                TripFailure::Driver(error) => chain(&error),
                TripFailure::Connection(text) => text,
                TripFailure::Silence => "bytes sent over loopback did not arrive".into(),
            },
            mend: "choose `io.driver = \"epoll\"`, and report the kernel's version to its vendor",
        },
    }
}

enum TripFailure {
    Listen(io::Error),
    Driver(DriverError),
    Connection(String),
    Silence,
}

impl From<DriverError> for TripFailure {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

/// Bytes there, and the end of them: accept, connect, send, receive, FIN.
fn try_round_trip() -> Result<(), TripFailure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(TripFailure::Listen)?;
    let address = listener.local_addr().map_err(TripFailure::Listen)?;
    let mut shard = UringShard::open()?;
    shard.listen(listener)?;
    let client = shard.connect(address)?;
    shard.send(client, [Chunk::from(GREETING.to_vec())]);
    shard.finish(client);
    let mut arrived = Vec::new();
    let mut completions = Vec::new();
    for _ in 0..TRIP_TURNS {
        shard.wait(Some(TRIP_TURN_NS), &mut completions)?;
        for completion in completions.drain(..) {
            match completion {
                Completion::Accepted { conn, .. } => shard.receive(conn),
                Completion::Received { conn, chunk } => {
                    arrived.extend_from_slice(&chunk);
                    shard.receive(conn);
                }
                Completion::Eof { .. } if arrived == GREETING => return Ok(()),
                Completion::Eof { .. } => return Err(TripFailure::Silence),
                Completion::Failed { error, .. } | Completion::AcceptFailed { error, .. } => {
                    let text = format!("the loopback connection failed: {error}");
                    return Err(TripFailure::Connection(text));
                }
                Completion::Connected { .. }
                | Completion::Sent { .. }
                | Completion::Finished { .. }
                | Completion::Closed { .. }
                | Completion::Woken => {}
            }
        }
    }
    Err(TripFailure::Silence)
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The kernel's switch, where it has one.
fn io_uring_disabled() -> Option<u32> {
    fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

fn mend_creation(error: &io::Error, disabled: Option<u32>) -> &'static str {
    match (error.raw_os_error(), disabled) {
        (Some(libc::EPERM), Some(1)) => {
            "run `sysctl kernel.io_uring_disabled=0` on the host, or add this user to the group \
             that `kernel.io_uring_group` names"
        }
        (Some(libc::EPERM | libc::EACCES | libc::ENOSYS), _) => MEND_PROFILE,
        (Some(libc::ENOMEM), _) => MEND_MEMLOCK,
        (Some(libc::EMFILE | libc::ENFILE), _) => "raise the limit of open files (`ulimit -n`)",
        _ => MEND_KERNEL,
    }
}

type Step = (&'static str, fn() -> Finding);

const STEPS: [Step; 5] = [
    ("system setting", system_setting),
    ("ring", ring_creation),
    ("operations", operations),
    ("buffer ring", buffer_ring),
    ("loopback round trip", round_trip),
];

const OPERATIONS: [(&str, u8); 7] = [
    ("ACCEPT", opcode::AcceptMulti::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("RECV", opcode::Recv::CODE),
    ("SEND", opcode::Send::CODE),
    ("SENDMSG", opcode::SendMsg::CODE),
    ("READ", opcode::Read::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
];

const MEND_KERNEL: &str = "use Linux 6.1 or newer";
const MEND_MEMLOCK: &str = "raise the limit of locked memory (`ulimit -l`, LimitMEMLOCK=)";
const MEND_PROFILE: &str = "run with a seccomp profile that allows io_uring_setup, \
                            io_uring_enter and io_uring_register (container engines forbid them \
                            by default)";
const GREETING: &[u8] = b"narrows";
const TRIP_TURNS: u32 = 50;
const TRIP_TURN_NS: u64 = 100_000_000;

#[cfg(test)]
mod tests;
