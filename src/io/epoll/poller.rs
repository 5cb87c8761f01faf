//! The three epoll calls. Knows one epoll descriptor and its event list.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::limits::EPOLL_EVENTS;

#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    /// Room for one batch; grows never.
    events: Vec<libc::epoll_event>,
}

/// What a descriptor is watched for, or what it is ready for: the EPOLL bits.
pub(super) type Bits = u32;

pub(super) const IN: Bits = libc::EPOLLIN as Bits;
pub(super) const OUT: Bits = libc::EPOLLOUT as Bits;
pub(super) const ERR: Bits = libc::EPOLLERR as Bits;
pub(super) const HUP: Bits = libc::EPOLLHUP as Bits;

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed; the result is checked.
        let raw = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { epoll, events: Vec::with_capacity(EPOLL_EVENTS) })
    }

    pub(super) fn add(&self, descriptor: RawFd, token: u64, bits: Bits) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, token, bits)
    }

    pub(super) fn change(&self, descriptor: RawFd, token: u64, bits: Bits) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, descriptor, token, bits)
    }

    pub(super) fn remove(&self, descriptor: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, descriptor, 0, 0)
    }

    /// Waits for events; a signal or the timeout leaves none.
    pub(super) fn wait(&mut self, timeout_ms: i32) -> io::Result<()> {
        self.events.clear();
        // SAFETY: the list has room for EPOLL_EVENTS events, which is as many as are asked for;
        // `self` is borrowed mutably, so nothing else touches it meanwhile.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                EPOLL_EVENTS as i32,
                timeout_ms,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        };
        // SAFETY: the kernel wrote the first `count` events, and count <= EPOLL_EVENTS.
        unsafe { self.events.set_len(count.min(EPOLL_EVENTS)) };
        Ok(())
    }

    /// The token and the bits of an event of the last `wait`.
    pub(super) fn event(&self, number: usize) -> Option<(u64, Bits)> {
        self.events.get(number).map(|event| (event.u64, event.events))
    }

    fn control(&self, operation: i32, descriptor: RawFd, token: u64, bits: Bits) -> io::Result<()> {
        let mut event = libc::epoll_event { events: bits, u64: token };
        // SAFETY: `event` lives through the call; the kernel copies it.
        let result = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), operation, descriptor, &raw mut event)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
