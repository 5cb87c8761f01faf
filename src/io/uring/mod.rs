//! The driver on io_uring: one ring, one submit-and-wait a turn. Knows what is in flight for whom;
//! a slot is free only when nothing is.
//!
//! Receives are single-shot: a multishot receive would drain the shared buffers for connections
//! whose output is stuck, and starve everyone else.

mod completing;
mod conn;
mod lending;
mod message;
mod operation;
mod ring;

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use socket2::Socket;

use crate::io::buf::{Chunk, Pool};
use crate::io::driver::{Completion, ConnError, ConnKey, Driver, DriverError, ListenerKey};
use crate::io::slots::{Key, Slots};
use crate::io::socket::{self, Blocking};
use crate::io::uring::conn::{Arrival, Conn, Ending, Phase, Receive, Sending};
use crate::io::uring::lending::GROUP;
use crate::io::uring::operation::Operation;
use crate::io::waker::Waker;
use crate::limits::{ACCEPT_RETRY_MS, CHUNK_BYTES, CONNS_PER_WORKER_MAX, RING_ENTRIES};

pub(in crate::io) use lending::Lending;
pub(in crate::io) use ring::Ring;

/// Fields are dropped in order: the ring goes before all that it may point to.
#[derive(Debug)]
pub struct UringShard {
    ring: Ring,
    lending: Lending,
    pool: Pool,
    waker: Waker,
    /// Where the kernel puts the waker's count; only ever touched by the kernel.
    wake_count: Box<UnsafeCell<u64>>,
    waking: InFlight,
    conns: Slots<Conn>,
    listeners: Slots<Listener>,
    /// Connections to send for before the next wait.
    listed: Vec<Key>,
    /// Connections that wait for a chunk, in the order in which they asked.
    parked: VecDeque<Key>,
    /// Completions that arose outside of `wait`.
    ready: Vec<Completion>,
    /// When listeners that ran into a shortage are tried again.
    accept_retry: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlight {
    No,
    Yes,
}

#[derive(Debug)]
struct Listener {
    socket: Socket,
    accepting: Accepting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    InFlight,
    /// Out of descriptors or slots; tried again when one may have come free.
    Paused,
    /// Cancelled; the slot is free when the accept's last completion has come.
    Stopping,
}

impl UringShard {
    /// To be called on the thread that will use it.
    pub fn open() -> Result<Self, DriverError> {
        let pool = Pool::new().map_err(|source| DriverError::Memory { source })?;
        let waker = Waker::new().map_err(|source| DriverError::Waker { source })?;
        let ring = Ring::new(RING_ENTRIES).map_err(|source| DriverError::Ring { source })?;
        // SAFETY: in the struct below, and on the way there, the ring is dropped before `lending`.
        let lending = unsafe { Lending::register(&ring) };
        let lending = lending.map_err(|source| DriverError::RingBuffers { source })?;
        Ok(Self {
            ring,
            lending,
            pool,
            waker,
            wake_count: Box::new(UnsafeCell::new(0)),
            waking: InFlight::No,
            conns: Slots::new(CONNS_PER_WORKER_MAX),
            listeners: Slots::new(CONNS_PER_WORKER_MAX),
            listed: Vec::new(),
            parked: VecDeque::new(),
            ready: Vec::new(),
            accept_retry: None,
        })
    }

    fn arm_wake(&mut self) {
        let entry = opcode::Read::new(
            Fd(self.waker.raw()),
            self.wake_count.get().cast(),
            size_of::<u64>() as u32,
        );
        self.waking = InFlight::Yes;
        self.push(entry.build(), Operation::Wake);
    }

    fn arm_accept(&mut self, key: Key) {
        let Some(listener) = self.listeners.at_mut(key) else { return };
        listener.accepting = Accepting::InFlight;
        let entry = opcode::AcceptMulti::new(Fd(listener.socket.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.push(entry, Operation::Accept(key));
    }

    fn arm_receive(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        conn.receive = Receive::InFlight;
        conn.outstanding += 1;
        let when = match conn.arrival {
            Arrival::Perhaps => 0,
            Arrival::Later => POLL_FIRST,
        };
        let descriptor = Fd(conn.socket.as_raw_fd());
        let entry = opcode::Recv::new(descriptor, std::ptr::null_mut(), CHUNK_BYTES as u32)
            .buf_group(GROUP)
            .ioprio(when)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        self.push(entry, Operation::Receive(key));
    }

    /// Sends what is queued unless a send is in flight, or ends the writing once all is out.
    fn look_after(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        conn.listed = false;
        if conn.phase != Phase::Open || conn.sending == Sending::InFlight {
            return;
        }
        let Some(entry) = conn.send_entry() else { return self.end_writing(key) };
        conn.sending = Sending::InFlight;
        conn.outstanding += 1;
        self.ring.expect_at_once(conn.outbox.bytes());
        self.push(entry, Operation::Send(key));
    }

    fn end_writing(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        if conn.ending != Ending::Asked {
            return;
        }
        conn.ending = Ending::Done;
        // A call of its own, once a connection: the ring would hand it to a thread.
        match conn.socket.shutdown(Shutdown::Write) {
            Ok(()) => self.ready.push(Completion::Finished { conn: ConnKey(key) }),
            Err(error) => self.fail(key, ConnError::from_io(&error)),
        }
    }

    fn cancel(&mut self, operation: Operation) {
        let entry = opcode::AsyncCancel::new(operation.token()).build();
        self.push(entry, Operation::Cancel);
    }

    fn push(&mut self, entry: squeue::Entry, operation: Operation) {
        // SAFETY: an entry points at most to the shard's wake count, to a connection's message,
        // target and chunks, and to descriptors. The first is freed after the ring; the others
        // stay until `settle` sees that nothing is outstanding, and `outstanding` counts this
        // entry. `drop` waits for all of them, or leaks them.
        unsafe { self.ring.push(entry.user_data(operation.token())) };
    }

    fn list(&mut self, key: Key) {
        if let Some(conn) = self.conns.at_mut(key)
            && !conn.listed
        {
            conn.listed = true;
            self.listed.push(key);
        }
    }

    /// Lends chunks that came back and arms as many parked receives as they can serve.
    fn unpark(&mut self) {
        self.lending.top_up(&self.pool);
        let mut chunks = self.pool.lent();
        while chunks > 0
            && let Some(key) = self.parked.pop_front()
        {
            if self.conns.at(key).is_some_and(|conn| conn.receive == Receive::Parked) {
                self.arm_receive(key);
                chunks -= 1;
            }
        }
    }

    /// One submit-and-wait, and what it brought.
    fn turn(&mut self, timeout_ns: Option<u64>) -> Result<(), DriverError> {
        let retry = self.accept_retry.map(|_| ACCEPT_RETRY_MS * 1_000_000);
        let timeout_ns =
            if self.ready.is_empty() { timeout_ns.into_iter().chain(retry).min() } else { Some(0) };
        self.ring.wait(timeout_ns).map_err(|source| DriverError::Wait { source })?;
        let reaped = self.ring.take_reaped();
        for entry in &reaped {
            self.on_completion(entry);
        }
        self.ring.recycle(reaped);
        Ok(())
    }
}

impl Driver for UringShard {
    fn listen(&mut self, listener: TcpListener) -> Result<ListenerKey, DriverError> {
        let socket = socket::listener(listener, Blocking::InKernel)
            .map_err(|source| DriverError::Socket { source })?;
        let key = self
            .listeners
            .insert(Listener { socket, accepting: Accepting::InFlight })
            .ok_or(DriverError::Full { capacity: CONNS_PER_WORKER_MAX })?;
        self.arm_accept(key);
        Ok(ListenerKey(key))
    }

    fn stop_listening(&mut self, listener: ListenerKey) {
        let Some(held) = self.listeners.at_mut(listener.0) else { return };
        match held.accepting {
            Accepting::InFlight => {
                held.accepting = Accepting::Stopping;
                self.cancel(Operation::Accept(listener.0));
            }
            Accepting::Paused => {
                self.listeners.remove(listener.0);
            }
            Accepting::Stopping => {}
        }
    }

    fn adopt(&mut self, stream: TcpStream) -> Result<ConnKey, DriverError> {
        let socket = socket::stream(stream, Blocking::InKernel)
            .map_err(|source| DriverError::Socket { source })?;
        let key = self.conns.insert(Conn::new(socket));
        key.map(ConnKey).ok_or(DriverError::Full { capacity: CONNS_PER_WORKER_MAX })
    }

    fn release(&mut self, conn: ConnKey) -> Option<TcpStream> {
        if !self.conns.at(conn.0)?.is_idle() {
            return None;
        }
        Some(self.conns.remove(conn.0)?.socket.into())
    }

    fn connect(&mut self, target: SocketAddr) -> Result<ConnKey, DriverError> {
        let socket = socket::towards(target, Blocking::InKernel)
            .map_err(|source| DriverError::Socket { source })?;
        let descriptor = Fd(socket.as_raw_fd());
        let key = self
            .conns
            .insert(Conn::connecting(socket, target.into()))
            .ok_or(DriverError::Full { capacity: CONNS_PER_WORKER_MAX })?;
        if let Some(conn) = self.conns.at_mut(key) {
            conn.outstanding += 1;
            if let Some(target) = conn.target.as_deref() {
                let entry =
                    opcode::Connect::new(descriptor, target.as_ptr().cast(), target.len()).build();
                self.push(entry, Operation::Connect(key));
            }
        }
        Ok(ConnKey(key))
    }

    fn receive(&mut self, conn: ConnKey) {
        let Some(held) = self.conns.at_mut(conn.0) else { return };
        match (held.phase, held.receive) {
            (Phase::Failed | Phase::Closing, _) => {}
            (Phase::Connecting, _) => held.receive = Receive::Early,
            (Phase::Open, Receive::Idle) if self.parked.is_empty() => self.arm_receive(conn.0),
            (Phase::Open, Receive::Idle) => {
                held.receive = Receive::Parked;
                self.parked.push_back(conn.0);
            }
            (
                Phase::Open,
                Receive::Early | Receive::InFlight | Receive::Parked | Receive::Ended,
            ) => {}
        }
    }

    fn send(&mut self, conn: ConnKey, chunks: impl IntoIterator<Item = Chunk>) {
        let Some(held) = self.conns.at_mut(conn.0) else { return };
        let open = matches!(held.phase, Phase::Connecting | Phase::Open);
        if !open || held.ending != Ending::Open {
            return;
        }
        let prospect = held.prospect();
        for chunk in chunks {
            held.outbox.push(chunk, &self.pool, prospect);
        }
        self.list(conn.0);
    }

    fn finish(&mut self, conn: ConnKey) {
        let Some(held) = self.conns.at_mut(conn.0) else { return };
        let open = matches!(held.phase, Phase::Connecting | Phase::Open);
        if open && held.ending == Ending::Open {
            held.ending = Ending::Asked;
            self.list(conn.0);
        }
    }

    fn close(&mut self, conn: ConnKey) {
        let Some(held) = self.conns.at_mut(conn.0) else { return };
        if held.phase == Phase::Closing {
            return;
        }
        let connecting = held.phase == Phase::Connecting;
        let receiving = held.receive == Receive::InFlight;
        let sending = held.sending == Sending::InFlight;
        let outstanding = held.outstanding;
        held.phase = Phase::Closing;
        if held.receive == Receive::Parked {
            self.parked.retain(|parked| *parked != conn.0);
        }
        self.ready.retain(|completion| completion.conn() != Some(conn));
        if outstanding == 0 {
            return self.free(conn.0);
        }
        if connecting {
            self.cancel(Operation::Connect(conn.0));
        }
        if receiving {
            self.cancel(Operation::Receive(conn.0));
        }
        if sending {
            self.cancel(Operation::Send(conn.0));
        }
    }

    fn wait(
        &mut self,
        timeout_ns: Option<u64>,
        out: &mut Vec<Completion>,
    ) -> Result<(), DriverError> {
        if self.waking == InFlight::No {
            self.arm_wake();
        }
        if self.accept_retry.is_some_and(|retry| retry <= Instant::now()) {
            self.resume_accepting();
        }
        while let Some(key) = self.listed.pop() {
            self.look_after(key);
        }
        self.unpark();
        self.turn(timeout_ns)?;
        out.append(&mut self.ready);
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn queued_bytes(&self, conn: ConnKey) -> usize {
        self.conns.at(conn.0).map_or(0, |held| match held.phase {
            Phase::Connecting | Phase::Open => held.outbox.bytes(),
            Phase::Failed | Phase::Closing => 0,
        })
    }

    fn conn_count(&self) -> usize {
        self.conns.len()
    }
}

impl Drop for UringShard {
    /// Cancels what is in flight and waits for it, so that nothing the kernel may still use is
    /// freed. Where that fails, memory is leaked rather than freed under the kernel.
    fn drop(&mut self) {
        let keys: Vec<Key> = self.conns.values_mut().map(|(key, _)| key).collect();
        for key in keys {
            self.close(ConnKey(key));
        }
        if self.waking == InFlight::Yes {
            self.cancel(Operation::Wake);
        }
        for _ in 0..TURNS_TO_SETTLE {
            if self.conns.len() == 0 && self.waking == InFlight::No {
                return;
            }
            self.ready.clear();
            if self.turn(Some(SETTLE_TURN_NS)).is_err() {
                break;
            }
        }
        if self.conns.len() > 0 || self.waking == InFlight::Yes {
            std::mem::forget(std::mem::replace(&mut self.conns, Slots::new(0)));
            std::mem::forget(std::mem::replace(&mut self.wake_count, Box::new(UnsafeCell::new(0))));
            std::mem::forget(self.pool.clone());
        }
    }
}

/// IORING_RECVSEND_POLL_FIRST: wait for readiness before the first attempt.
const POLL_FIRST: u16 = 1;
const TURNS_TO_SETTLE: u32 = 100;
const SETTLE_TURN_NS: u64 = 10_000_000;
