//! Sockets as both drivers want them: no delay, closed on exec, probed when idle. Knows options, not
//! states.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::limits::{KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES};

/// How a driver waits for a socket: epoll needs `Never`, and a ring needs `InKernel`, for it gives
/// up on a non-blocking socket instead of waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocking {
    InKernel,
    Never,
}

/// Accepted sockets inherit these options from the listener.
pub(super) fn listener(listener: TcpListener, blocking: Blocking) -> io::Result<Socket> {
    prepared(Socket::from(listener), blocking)
}

pub(super) fn stream(stream: TcpStream, blocking: Blocking) -> io::Result<Socket> {
    prepared(Socket::from(stream), blocking)
}

pub(super) fn towards(target: SocketAddr, blocking: Blocking) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    prepared(socket, blocking)
}

fn prepared(socket: Socket, blocking: Blocking) -> io::Result<Socket> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(KEEPALIVE_IDLE_S))
        .with_interval(Duration::from_secs(KEEPALIVE_INTERVAL_S))
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_nonblocking(blocking == Blocking::Never)?;
    Ok(socket)
}
