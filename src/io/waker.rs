//! Wakes a driver from another thread. Knows one eventfd and whether it has been rung already.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rings one worker: its `wait` returns with `Completion::Woken`. Rings in between are one.
#[derive(Clone, Debug)]
pub struct Waker {
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    descriptor: OwnedFd,
    rung: AtomicBool,
}

impl Waker {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed; the result is checked.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { bell: Arc::new(Bell { descriptor, rung: AtomicBool::new(false) }) })
    }

    pub fn wake(&self) {
        // What was written before this call is visible to the worker once it has seen `rung`.
        if self.bell.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `one` is eight readable bytes. A failing write leaves the counter as it is: it
        // cannot happen while `bell` keeps the descriptor open, for one ring never fills it.
        unsafe {
            libc::write(self.raw(), one.as_ptr().cast(), one.len());
        }
    }

    /// The worker has seen the ring; the next one must write again. Called before the worker
    /// looks into its mailboxes, so nothing put there afterwards goes unannounced.
    pub(super) fn rearm(&self) {
        self.bell.rung.swap(false, Ordering::AcqRel);
    }

    /// Empties the counter; only after the descriptor was reported readable.
    pub(super) fn drain(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: `count` is eight writable bytes.
        unsafe {
            libc::read(self.raw(), count.as_mut_ptr().cast(), count.len());
        }
    }

    pub(super) fn raw(&self) -> RawFd {
        self.bell.descriptor.as_raw_fd()
    }
}
