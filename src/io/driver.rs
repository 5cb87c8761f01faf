//! What a driver promises, and the choice between the two. Knows completions, no system calls.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::io::buf::{Chunk, Pool};
use crate::io::epoll::EpollShard;
use crate::io::slots::Key;
use crate::io::uring::UringShard;
use crate::io::waker::Waker;

/// A connection of one driver. Never found again after `close`, whatever takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnKey(pub(in crate::io) Key);

/// A listener of one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerKey(pub(in crate::io) Key);

/// Something that was asked for has happened.
#[derive(Debug)]
pub enum Completion {
    /// A new connection. Nothing is received from it until `receive`.
    Accepted {
        listener: ListenerKey,
        conn: ConnKey,
        peer: SocketAddr,
    },
    /// Connections wait but cannot be taken; the driver tries again by itself.
    AcceptFailed {
        listener: ListenerKey,
        error: ConnError,
    },
    Connected {
        conn: ConnKey,
    },
    /// The one receive that was asked for; ask again to get more.
    Received {
        conn: ConnKey,
        chunk: Chunk,
    },
    /// The peer sends no more. It may still read.
    Eof {
        conn: ConnKey,
    },
    /// The kernel took this many bytes of what was queued.
    Sent {
        conn: ConnKey,
        bytes: usize,
    },
    /// What was queued before `finish` is out, and so is the FIN.
    Finished {
        conn: ConnKey,
    },
    /// The connection is of no more use; nothing follows until `close`. Comes at most once.
    Failed {
        conn: ConnKey,
        error: ConnError,
    },
    /// The last word on a connection after `close`.
    Closed {
        conn: ConnKey,
    },
    /// Another thread rang the waker.
    Woken,
}

/// Why a connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnError {
    #[error("connection refused")]
    Refused,
    #[error("connection reset by the peer")]
    Reset,
    #[error("the peer no longer reads")]
    BrokenPipe,
    #[error("the peer did not answer in the kernel's time")]
    TimedOut,
    #[error("no route to the peer")]
    Unreachable,
    #[error("out of file descriptors")]
    Descriptors,
    #[error("out of connection slots or memory")]
    Exhausted,
    #[error("system error {errno}")]
    Os { errno: i32 },
}

/// Why a driver cannot work. None of these is a peer's doing.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("the chunk memory cannot be mapped")]
    Memory { source: io::Error },
    #[error("the waker cannot be created")]
    Waker { source: io::Error },
    #[error("the ring cannot be created")]
    Ring { source: io::Error },
    #[error("the ring takes no buffers")]
    RingBuffers { source: io::Error },
    #[error("epoll cannot be created")]
    Epoll { source: io::Error },
    #[error("the socket's options cannot be set")]
    Socket { source: io::Error },
    #[error("every one of {capacity} slots is in use")]
    Full { capacity: usize },
    #[error("waiting for completions failed")]
    Wait { source: io::Error },
}

/// One worker's sockets, driven by completions. All calls come from the thread that opened it.
/// Calls on a key that is no longer known do nothing: its `Closed` may not have been read yet.
pub trait Driver {
    /// Takes connections from `listener` until `stop_listening`.
    fn listen(&mut self, listener: TcpListener) -> Result<ListenerKey, DriverError>;
    fn stop_listening(&mut self, listener: ListenerKey);
    /// Takes over a connection that another worker accepted.
    fn adopt(&mut self, stream: TcpStream) -> Result<ConnKey, DriverError>;
    /// Gives a connection away, for another worker to `adopt`. `None` while anything is asked of
    /// it or queued: what is in flight cannot be handed over.
    fn release(&mut self, conn: ConnKey) -> Option<TcpStream>;
    /// Ends in `Connected` or `Failed`. Has no deadline of its own; `close` ends the attempt.
    fn connect(&mut self, target: SocketAddr) -> Result<ConnKey, DriverError>;
    /// Asks for one `Received`, `Eof` or `Failed`. Asking again before it comes changes nothing.
    fn receive(&mut self, conn: ConnKey);
    /// Queues; `Sent` tells how far the kernel got. Also before `Connected`. Ignored after `finish`.
    fn send(&mut self, conn: ConnKey, chunks: impl IntoIterator<Item = Chunk>);
    /// Sends what is queued, then FIN, then `Finished`. Receiving goes on.
    fn finish(&mut self, conn: ConnKey);
    /// Drops what is queued and cancels what is in flight; only `Closed` follows.
    fn close(&mut self, conn: ConnKey);
    /// Submits what was asked and waits for a completion, at most `timeout_ns` (`None`: no limit).
    /// Appends to `out`; may append nothing.
    fn wait(
        &mut self,
        timeout_ns: Option<u64>,
        out: &mut Vec<Completion>,
    ) -> Result<(), DriverError>;
    fn waker(&self) -> Waker;
    fn pool(&self) -> &Pool;
    /// Bytes queued and not yet taken by the kernel.
    fn queued_bytes(&self, conn: ConnKey) -> usize;
    /// Connections open or still closing.
    fn conn_count(&self) -> usize;
}

/// What the configuration asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// io_uring where the probe passes, else epoll.
    #[default]
    Auto,
    Uring,
    Epoll,
}

/// What a worker runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverKind {
    Uring,
    Epoll,
}

/// Either driver, dispatched by a match.
#[derive(Debug)]
pub enum Shard {
    Uring(Box<UringShard>),
    Epoll(Box<EpollShard>),
}

impl Shard {
    /// To be called on the worker's own thread: a ring belongs to the thread that made it.
    pub fn open(kind: DriverKind) -> Result<Self, DriverError> {
        match kind {
            DriverKind::Uring => UringShard::open().map(|shard| Self::Uring(Box::new(shard))),
            DriverKind::Epoll => EpollShard::open().map(|shard| Self::Epoll(Box::new(shard))),
        }
    }

    #[must_use]
    pub const fn kind(&self) -> DriverKind {
        match self {
            Self::Uring(_) => DriverKind::Uring,
            Self::Epoll(_) => DriverKind::Epoll,
        }
    }
}

macro_rules! either {
    ($shard:expr, $driver:ident => $call:expr) => {
        match $shard {
            Shard::Uring($driver) => $call,
            Shard::Epoll($driver) => $call,
        }
    };
}

impl Driver for Shard {
    fn listen(&mut self, listener: TcpListener) -> Result<ListenerKey, DriverError> {
        either!(self, driver => driver.listen(listener))
    }

    fn stop_listening(&mut self, listener: ListenerKey) {
        either!(self, driver => driver.stop_listening(listener));
    }

    fn adopt(&mut self, stream: TcpStream) -> Result<ConnKey, DriverError> {
        either!(self, driver => driver.adopt(stream))
    }

    fn release(&mut self, conn: ConnKey) -> Option<TcpStream> {
        either!(self, driver => driver.release(conn))
    }

    fn connect(&mut self, target: SocketAddr) -> Result<ConnKey, DriverError> {
        either!(self, driver => driver.connect(target))
    }

    fn receive(&mut self, conn: ConnKey) {
        either!(self, driver => driver.receive(conn));
    }

    fn send(&mut self, conn: ConnKey, chunks: impl IntoIterator<Item = Chunk>) {
        either!(self, driver => driver.send(conn, chunks));
    }

    fn finish(&mut self, conn: ConnKey) {
        either!(self, driver => driver.finish(conn));
    }

    fn close(&mut self, conn: ConnKey) {
        either!(self, driver => driver.close(conn));
    }

    fn wait(
        &mut self,
        timeout_ns: Option<u64>,
        out: &mut Vec<Completion>,
    ) -> Result<(), DriverError> {
        either!(self, driver => driver.wait(timeout_ns, out))
    }

    fn waker(&self) -> Waker {
        either!(self, driver => driver.waker())
    }

    fn pool(&self) -> &Pool {
        either!(self, driver => driver.pool())
    }

    fn queued_bytes(&self, conn: ConnKey) -> usize {
        either!(self, driver => driver.queued_bytes(conn))
    }

    fn conn_count(&self) -> usize {
        either!(self, driver => driver.conn_count())
    }
}

impl Completion {
    /// The connection that this is about.
    #[must_use]
    pub const fn conn(&self) -> Option<ConnKey> {
        match self {
            Self::Accepted { conn, .. }
            | Self::Connected { conn }
            | Self::Received { conn, .. }
            | Self::Eof { conn }
            | Self::Sent { conn, .. }
            | Self::Finished { conn }
            | Self::Failed { conn, .. }
            | Self::Closed { conn } => Some(*conn),
            Self::AcceptFailed { .. } | Self::Woken => None,
        }
    }
}

impl ConnError {
    pub(in crate::io) const fn from_errno(errno: i32) -> Self {
        match errno {
            libc::ECONNREFUSED => Self::Refused,
            libc::ECONNRESET => Self::Reset,
            libc::EPIPE => Self::BrokenPipe,
            libc::ETIMEDOUT => Self::TimedOut,
            libc::EHOSTUNREACH | libc::ENETUNREACH => Self::Unreachable,
            libc::EMFILE | libc::ENFILE => Self::Descriptors,
            libc::ENOMEM | libc::ENOBUFS => Self::Exhausted,
            errno => Self::Os { errno },
        }
    }

    pub(in crate::io) fn from_io(error: &io::Error) -> Self {
        error.raw_os_error().map_or(Self::Os { errno: 0 }, Self::from_errno)
    }

    /// Waiting helps: the process or the machine is short of something just now.
    pub(in crate::io) const fn is_shortage(self) -> bool {
        match self {
            Self::Descriptors | Self::Exhausted => true,
            Self::Refused
            | Self::Reset
            | Self::BrokenPipe
            | Self::TimedOut
            | Self::Unreachable
            | Self::Os { .. } => false,
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}
