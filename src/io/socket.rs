//! Sockets as both drivers want them: no delay, closed on exec. Knows options, not states.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

/// How a driver waits for a socket: epoll needs `Never`, and a ring needs `InKernel`, for it gives
/// up on a non-blocking socket instead of waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocking {
    InKernel,
    Never,
}

/// Accepted sockets inherit TCP_NODELAY from the listener.
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
    socket.set_nonblocking(blocking == Blocking::Never)?;
    Ok(socket)
}
