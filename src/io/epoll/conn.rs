//! One connection under epoll. Knows its socket, what was asked of it and how far it got; the
//! shard knows when to look.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;

use socket2::Socket;

use crate::io::buf::{Chunk, ChunkMut};
use crate::io::driver::ConnError;
use crate::io::epoll::poller::{Bits, IN, OUT};
use crate::io::outbox::{Outbox, Prospect};
use crate::limits::SEND_PIECES_MAX;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) socket: Socket,
    pub(super) phase: Phase,
    pub(super) receive: Receive,
    pub(super) sending: Sending,
    pub(super) ending: Ending,
    pub(super) outbox: Outbox,
    /// What epoll watches now; `None` while it does not know the socket.
    pub(super) watched: Option<Bits>,
    /// Stands in the shard's list of connections to look after before the next wait.
    pub(super) listed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Open,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    Idle,
    /// Bytes wait in the kernel, but nobody asked for them.
    Unasked,
    Armed,
    /// Waits in the shard's queue for a chunk to come back.
    Parked,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Ready,
    /// The socket's buffer is full.
    Blocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Open,
    Asked,
    Done,
}

/// What one attempt to receive found.
pub(super) enum Incoming {
    Chunk(Chunk),
    Eof,
    Nothing,
}

impl Conn {
    pub(super) fn new(socket: Socket, phase: Phase) -> Self {
        Self {
            socket,
            phase,
            receive: Receive::Idle,
            sending: Sending::Ready,
            ending: Ending::Open,
            outbox: Outbox::default(),
            watched: None,
            listed: false,
        }
    }

    /// Hands the kernel what is queued, as far as it takes it: the bytes sent.
    pub(super) fn flush(&mut self) -> Result<usize, ConnError> {
        let mut total = 0;
        self.sending = Sending::Ready;
        while !self.outbox.is_empty() {
            let mut pieces = [IoSlice::new(&[]); SEND_PIECES_MAX];
            let mut count = 0;
            for (slot, piece) in pieces.iter_mut().zip(self.outbox.pieces()) {
                *slot = IoSlice::new(piece);
                count += 1;
            }
            let gathered = pieces.get(..count).unwrap_or_default();
            match self.socket.send_vectored_with_flags(gathered, libc::MSG_NOSIGNAL) {
                Ok(sent) => {
                    self.outbox.advance(sent);
                    total += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.sending = Sending::Blocked;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ConnError::from_io(&error)),
            }
        }
        Ok(total)
    }

    pub(super) fn receive_into(&self, mut chunk: ChunkMut) -> Result<Incoming, ConnError> {
        match (&self.socket).read(&mut chunk) {
            Ok(0) => Ok(Incoming::Eof),
            Ok(bytes) => Ok(Incoming::Chunk(chunk.freeze(bytes))),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => Ok(Incoming::Nothing),
                _ => Err(ConnError::from_io(&error)),
            },
        }
    }

    pub(super) fn shut_down_writing(&self) -> Result<(), ConnError> {
        self.socket.shutdown(Shutdown::Write).map_err(|error| ConnError::from_io(&error))
    }

    /// The result of a connect that the socket reported as over.
    pub(super) fn connect_result(&self) -> Result<(), ConnError> {
        match self.socket.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(ConnError::from_io(&error)),
        }
    }

    /// Whether what is queued now goes out this turn.
    pub(super) const fn prospect(&self) -> Prospect {
        match (self.phase, self.sending) {
            (Phase::Connecting, _) | (_, Sending::Blocked) => Prospect::Waits,
            (Phase::Open | Phase::Failed, Sending::Ready) => Prospect::Now,
        }
    }

    /// What epoll should watch; `None` takes the socket out of epoll altogether, for errors and
    /// hang-ups are reported whether watched or not, and would make every wait return. An idle receive keeps IN watched if it is already: in a dialogue
    /// it is armed again before the next byte comes, and two calls are saved.
    pub(super) fn wanted(&self) -> Option<Bits> {
        let receiving = match self.receive {
            Receive::Armed => IN,
            Receive::Idle => self.watched.unwrap_or(0) & IN,
            Receive::Unasked | Receive::Parked | Receive::Ended => 0,
        };
        match (self.phase, self.sending) {
            (Phase::Failed, _) => None,
            (Phase::Connecting, _) => Some(OUT),
            (Phase::Open, Sending::Blocked) => Some(receiving | OUT),
            (Phase::Open, Sending::Ready) => Some(receiving).filter(|&bits| bits != 0),
        }
    }
}
