//! One connection on the ring. Knows its socket, what was asked of it and what is in flight.

use std::os::fd::AsRawFd;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use socket2::{SockAddr, Socket};

use crate::io::outbox::{Outbox, Prospect};
use crate::io::uring::message::Message;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) socket: Socket,
    pub(super) phase: Phase,
    pub(super) receive: Receive,
    pub(super) arrival: Arrival,
    pub(super) sending: Sending,
    pub(super) ending: Ending,
    /// The kernel holds pieces of this while `sending` is `InFlight`.
    pub(super) outbox: Outbox,
    /// Made at the first send of several pieces; the kernel holds it while `sending` is `InFlight`.
    pub(super) message: Option<Box<Message>>,
    /// The kernel holds this while `phase` is `Connecting`.
    pub(super) target: Option<Box<SockAddr>>,
    /// Operations submitted, or in line to be, whose last completion has not come.
    pub(super) outstanding: u32,
    /// Stands in the shard's list of connections to look after before the next wait.
    pub(super) listed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Open,
    Failed,
    /// Waits for the completions of what was cancelled.
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    Idle,
    /// Asked for before the connection was there.
    Early,
    InFlight,
    /// Waits in the shard's queue for a chunk to come back.
    Parked,
    Ended,
}

/// What the last receive said about the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Bytes may wait: try at once.
    Perhaps,
    /// The socket was read empty: waiting first saves an attempt.
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Ready,
    InFlight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Open,
    Asked,
    Done,
}

impl Conn {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            phase: Phase::Open,
            receive: Receive::Idle,
            arrival: Arrival::Perhaps,
            sending: Sending::Ready,
            ending: Ending::Open,
            outbox: Outbox::default(),
            message: None,
            target: None,
            outstanding: 0,
            listed: false,
        }
    }

    pub(super) fn connecting(socket: Socket, target: SockAddr) -> Self {
        let target = Some(Box::new(target));
        Self { phase: Phase::Connecting, target, ..Self::new(socket) }
    }

    /// The send of all that is queued, as far as one takes it. `None` if nothing is.
    pub(super) fn send_entry(&mut self) -> Option<squeue::Entry> {
        let descriptor = Fd(self.socket.as_raw_fd());
        let mut pieces = self.outbox.pieces();
        let first = pieces.next()?;
        if pieces.next().is_none() {
            let length = u32::try_from(first.len()).unwrap_or(u32::MAX);
            let entry = opcode::Send::new(descriptor, first.as_ptr(), length);
            return Some(entry.flags(libc::MSG_NOSIGNAL).build());
        }
        let message = self.message.get_or_insert_with(Message::boxed);
        let entry = opcode::SendMsg::new(descriptor, message.gather(&self.outbox));
        Some(entry.flags(libc::MSG_NOSIGNAL as u32).build())
    }

    /// Whether what is queued now goes out this turn.
    pub(super) const fn prospect(&self) -> Prospect {
        match (self.phase, self.sending) {
            (Phase::Connecting, _) | (_, Sending::InFlight) => Prospect::Waits,
            (Phase::Open | Phase::Failed | Phase::Closing, Sending::Ready) => Prospect::Now,
        }
    }

    /// Nothing is asked of it, so it can go to another worker.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Open
            && self.outstanding == 0
            && self.receive == Receive::Idle
            && self.ending == Ending::Open
            && self.outbox.is_empty()
    }
}
