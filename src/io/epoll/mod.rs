//! The driver for places where io_uring is forbidden: level-triggered epoll behind the same
//! completions. Knows readiness and turns it into what was asked for; never reads unasked.

mod conn;
mod poller;

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket};

use crate::io::buf::{Chunk, Pool};
use crate::io::driver::{Completion, ConnError, ConnKey, Driver, DriverError, ListenerKey};
use crate::io::epoll::conn::{Conn, Ending, Incoming, Phase, Receive, Sending};
use crate::io::epoll::poller::{ERR, HUP, IN, OUT, Poller};
use crate::io::slots::{Key, Slots};
use crate::io::socket::{self, Blocking};
use crate::io::waker::Waker;
use crate::limits::{ACCEPT_RETRY_MS, ACCEPTS_A_TURN, CONNS_PER_WORKER_MAX, EPOLL_EVENTS};

#[derive(Debug)]
pub struct EpollShard {
    poller: Poller,
    pool: Pool,
    waker: Waker,
    conns: Slots<Conn>,
    listeners: Slots<Listener>,
    /// Connections to flush and to watch anew before the next wait.
    listed: Vec<Key>,
    /// Connections that wait for a chunk, in the order in which they asked.
    parked: VecDeque<Key>,
    /// Completions that arose outside of `wait`.
    ready: Vec<Completion>,
    /// When listeners that ran into a shortage are tried again.
    accept_retry: Option<Instant>,
}

#[derive(Debug)]
struct Listener {
    socket: Socket,
    accepting: Accepting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Watched,
    /// Not watched: a level-triggered listener that cannot be served would spin.
    Paused,
}

impl EpollShard {
    pub fn open() -> Result<Self, DriverError> {
        let poller = Poller::new().map_err(|source| DriverError::Epoll { source })?;
        let pool = Pool::new().map_err(|source| DriverError::Memory { source })?;
        let waker = Waker::new().map_err(|source| DriverError::Waker { source })?;
        poller.add(waker.raw(), WAKE_TOKEN, IN).map_err(|source| DriverError::Epoll { source })?;
        Ok(Self {
            poller,
            pool,
            waker,
            conns: Slots::new(CONNS_PER_WORKER_MAX),
            listeners: Slots::new(CONNS_PER_WORKER_MAX),
            listed: Vec::new(),
            parked: VecDeque::new(),
            ready: Vec::new(),
            accept_retry: None,
        })
    }

    fn insert(&mut self, conn: Conn) -> Result<ConnKey, DriverError> {
        let key = self.conns.insert(conn);
        key.map(ConnKey).ok_or(DriverError::Full { capacity: CONNS_PER_WORKER_MAX })
    }

    /// Puts a connection on the list that `wait` works off first.
    fn list(&mut self, key: Key) {
        if let Some(conn) = self.conns.at_mut(key)
            && !conn.listed
        {
            conn.listed = true;
            self.listed.push(key);
        }
    }

    /// Flushes one connection, ends it if that was asked, and watches it for what it now wants.
    fn look_after(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        conn.listed = false;
        if conn.phase == Phase::Open && conn.sending == Sending::Ready {
            self.flush(key);
        }
        self.watch(key);
    }

    fn flush(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        let mut result = conn.flush();
        if let Ok(bytes) = result {
            if bytes > 0 {
                self.ready.push(Completion::Sent { conn: ConnKey(key), bytes });
            }
            if conn.ending == Ending::Asked && conn.outbox.is_empty() {
                conn.ending = Ending::Done;
                result = conn.shut_down_writing().map(|()| 0);
                if result.is_ok() {
                    self.ready.push(Completion::Finished { conn: ConnKey(key) });
                }
            }
        }
        if let Err(error) = result {
            self.fail(key, error);
        }
    }

    fn fail(&mut self, key: Key, error: ConnError) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        if conn.phase == Phase::Failed {
            return;
        }
        conn.phase = Phase::Failed;
        conn.receive = Receive::Ended;
        conn.outbox.clear();
        self.ready.push(Completion::Failed { conn: ConnKey(key), error });
    }

    /// Tells epoll if a connection wants something other than what is watched.
    fn watch(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        let wanted = conn.wanted();
        let descriptor = conn.socket.as_raw_fd();
        let result = match (conn.watched, wanted) {
            (None, None) => Ok(()),
            (None, Some(bits)) => self.poller.add(descriptor, key.pack(TAG_CONN), bits),
            (Some(_), None) => self.poller.remove(descriptor),
            (Some(now), Some(bits)) if now == bits => Ok(()),
            (Some(_), Some(bits)) => self.poller.change(descriptor, key.pack(TAG_CONN), bits),
        };
        conn.watched = wanted;
        if let Err(error) = result {
            conn.watched = None;
            self.fail(key, ConnError::from_io(&error));
        }
    }

    /// Arms parked receives, first come first served, as far as there are chunks.
    fn unpark(&mut self) {
        let mut chunks = self.pool.receivable();
        while chunks > 0
            && let Some(key) = self.parked.pop_front()
        {
            if let Some(conn) = self.conns.at_mut(key)
                && conn.receive == Receive::Parked
            {
                conn.receive = Receive::Armed;
                self.watch(key);
                chunks -= 1;
            }
        }
    }

    fn on_conn(&mut self, key: Key, bits: u32) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        if conn.phase == Phase::Connecting {
            match conn.connect_result() {
                Ok(()) => {
                    conn.phase = Phase::Open;
                    self.ready.push(Completion::Connected { conn: ConnKey(key) });
                    self.flush(key);
                }
                Err(error) => self.fail(key, error),
            }
            return self.watch(key);
        }
        let closed = bits & (ERR | HUP) != 0;
        if conn.sending == Sending::Blocked && (closed || bits & OUT != 0) {
            self.flush(key);
        }
        if closed || bits & IN != 0 {
            self.on_readable(key);
        }
        self.watch(key);
    }

    fn on_readable(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else { return };
        match conn.receive {
            Receive::Armed => {}
            Receive::Idle => return conn.receive = Receive::Unasked,
            Receive::Unasked | Receive::Parked | Receive::Ended => return,
        }
        let Some(chunk) = self.pool.take_to_receive() else {
            conn.receive = Receive::Parked;
            return self.parked.push_back(key);
        };
        match conn.receive_into(chunk) {
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Chunk(chunk)) => {
                conn.receive = Receive::Idle;
                self.ready.push(Completion::Received { conn: ConnKey(key), chunk });
            }
            Ok(Incoming::Eof) => {
                conn.receive = Receive::Ended;
                self.ready.push(Completion::Eof { conn: ConnKey(key) });
            }
            Err(error) => self.fail(key, error),
        }
    }

    fn on_listener(&mut self, key: Key) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(listener) = self.listeners.at_mut(key) else { return };
            let error = match listener.socket.accept() {
                Ok((socket, peer)) => match self.accepted(key, socket, &peer) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return,
                    // The peer left between its handshake and our call.
                    Some(libc::EINTR | libc::ECONNABORTED) => continue,
                    _ => ConnError::from_io(&error),
                },
            };
            self.ready.push(Completion::AcceptFailed { listener: ListenerKey(key), error });
            return self.pause_accepting(key);
        }
    }

    /// A peer that cannot be given a slot is let go at once; the error says why.
    fn accepted(
        &mut self,
        listener: Key,
        socket: Socket,
        peer: &SockAddr,
    ) -> Result<(), ConnError> {
        socket.set_nonblocking(true).map_err(|error| ConnError::from_io(&error))?;
        let Some(peer) = peer.as_socket() else { return Err(ConnError::Os { errno: 0 }) };
        let conn = Conn::new(socket, Phase::Open);
        let key = self.conns.insert(conn).ok_or(ConnError::Exhausted)?;
        let listener = ListenerKey(listener);
        self.ready.push(Completion::Accepted { listener, conn: ConnKey(key), peer });
        Ok(())
    }

    fn pause_accepting(&mut self, key: Key) {
        let Some(listener) = self.listeners.at_mut(key) else { return };
        if listener.accepting == Accepting::Watched {
            listener.accepting = Accepting::Paused;
            // A descriptor that epoll does not know needs no removing.
            self.poller.remove(listener.socket.as_raw_fd()).ok();
        }
        self.accept_retry = Some(Instant::now() + Duration::from_millis(ACCEPT_RETRY_MS));
    }

    /// Watches paused listeners again: a descriptor may have come free.
    fn resume_accepting(&mut self) {
        self.accept_retry = None;
        for (key, listener) in self.listeners.values_mut() {
            if listener.accepting == Accepting::Paused {
                let descriptor = listener.socket.as_raw_fd();
                match self.poller.add(descriptor, key.pack(TAG_LISTENER), IN) {
                    Ok(()) => listener.accepting = Accepting::Watched,
                    Err(_) => {
                        let delay = Duration::from_millis(ACCEPT_RETRY_MS);
                        self.accept_retry = Some(Instant::now() + delay);
                    }
                }
            }
        }
    }

    /// Milliseconds for epoll, rounded up so that a deadline has passed when it returns.
    fn timeout_ms(&self, timeout_ns: Option<u64>) -> i32 {
        if !self.ready.is_empty() {
            return 0;
        }
        let asked = timeout_ns.map(|ns| ns.div_ceil(1_000_000));
        let retry = self.accept_retry.map(|_| ACCEPT_RETRY_MS);
        let shorter = asked.into_iter().chain(retry).min();
        shorter.map_or(-1, |ms| i32::try_from(ms).unwrap_or(i32::MAX))
    }
}

impl Driver for EpollShard {
    fn listen(&mut self, listener: TcpListener) -> Result<ListenerKey, DriverError> {
        let socket = socket::listener(listener, Blocking::Never)
            .map_err(|source| DriverError::Socket { source })?;
        let descriptor = socket.as_raw_fd();
        let key = self
            .listeners
            .insert(Listener { socket, accepting: Accepting::Watched })
            .ok_or(DriverError::Full { capacity: CONNS_PER_WORKER_MAX })?;
        if let Err(source) = self.poller.add(descriptor, key.pack(TAG_LISTENER), IN) {
            self.listeners.remove(key);
            return Err(DriverError::Epoll { source });
        }
        Ok(ListenerKey(key))
    }

    fn stop_listening(&mut self, listener: ListenerKey) {
        if let Some(listener) = self.listeners.remove(listener.0) {
            // Explicitly, for a duplicate of the descriptor would keep the old one watched.
            self.poller.remove(listener.socket.as_raw_fd()).ok();
        }
    }

    fn adopt(&mut self, stream: TcpStream) -> Result<ConnKey, DriverError> {
        let socket = socket::stream(stream, Blocking::Never)
            .map_err(|source| DriverError::Socket { source })?;
        self.insert(Conn::new(socket, Phase::Open))
    }

    fn release(&mut self, conn: ConnKey) -> Option<TcpStream> {
        let held = self.conns.at(conn.0)?;
        let idle = held.phase == Phase::Open
            && matches!(held.receive, Receive::Idle | Receive::Unasked)
            && held.ending == Ending::Open
            && held.outbox.is_empty();
        if !idle {
            return None;
        }
        let held = self.conns.remove(conn.0)?;
        if held.watched.is_some() {
            self.poller.remove(held.socket.as_raw_fd()).ok();
        }
        Some(held.socket.into())
    }

    fn connect(&mut self, target: SocketAddr) -> Result<ConnKey, DriverError> {
        let socket = socket::towards(target, Blocking::Never)
            .map_err(|source| DriverError::Socket { source })?;
        let outcome = socket.connect(&target.into());
        let conn = self.insert(Conn::new(socket, Phase::Connecting))?;
        match outcome {
            // Also after an immediate success: epoll reports it writable, and that is `Connected`.
            Ok(()) => self.watch(conn.0),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => self.watch(conn.0),
            Err(error) => self.fail(conn.0, ConnError::from_io(&error)),
        }
        Ok(conn)
    }

    fn receive(&mut self, conn: ConnKey) {
        let queue_up = !self.parked.is_empty();
        let Some(held) = self.conns.at_mut(conn.0) else { return };
        match held.receive {
            Receive::Armed | Receive::Parked | Receive::Ended => {}
            Receive::Idle | Receive::Unasked if queue_up => {
                held.receive = Receive::Parked;
                self.parked.push_back(conn.0);
                self.list(conn.0);
            }
            Receive::Idle | Receive::Unasked => {
                held.receive = Receive::Armed;
                self.list(conn.0);
            }
        }
    }

    fn send(&mut self, conn: ConnKey, chunks: impl IntoIterator<Item = Chunk>) {
        let Some(held) = self.conns.at_mut(conn.0) else { return };
        if held.ending != Ending::Open || held.phase == Phase::Failed {
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
        if held.ending == Ending::Open && held.phase != Phase::Failed {
            held.ending = Ending::Asked;
            self.list(conn.0);
        }
    }

    fn close(&mut self, conn: ConnKey) {
        let Some(held) = self.conns.remove(conn.0) else { return };
        if held.watched.is_some() {
            // Closing would do, but not while a duplicate of the descriptor lives elsewhere.
            self.poller.remove(held.socket.as_raw_fd()).ok();
        }
        if held.receive == Receive::Parked {
            self.parked.retain(|parked| *parked != conn.0);
        }
        drop(held);
        self.ready.retain(|completion| completion.conn() != Some(conn));
        self.ready.push(Completion::Closed { conn });
        if self.accept_retry.is_some() {
            self.resume_accepting();
        }
    }

    fn wait(
        &mut self,
        timeout_ns: Option<u64>,
        out: &mut Vec<Completion>,
    ) -> Result<(), DriverError> {
        while let Some(key) = self.listed.pop() {
            self.look_after(key);
        }
        self.unpark();
        if self.accept_retry.is_some_and(|retry| retry <= Instant::now()) {
            self.resume_accepting();
        }
        self.poller
            .wait(self.timeout_ms(timeout_ns))
            .map_err(|source| DriverError::Wait { source })?;
        for number in 0..EPOLL_EVENTS {
            let Some((token, bits)) = self.poller.event(number) else { break };
            match Key::unpack(token) {
                (TAG_CONN, key) => self.on_conn(key, bits),
                (TAG_LISTENER, key) => self.on_listener(key),
                _ => {
                    self.waker.drain();
                    self.waker.rearm();
                    self.ready.push(Completion::Woken);
                }
            }
        }
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
        self.conns.at(conn.0).map_or(0, |held| held.outbox.bytes())
    }

    fn conn_count(&self) -> usize {
        self.conns.len()
    }
}

const TAG_CONN: u8 = 0;
const TAG_LISTENER: u8 = 1;
/// Any other tag.
const WAKE_TOKEN: u64 = u64::MAX;
