//! A disk that fails on demand.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::Driver;

/// What is to fail. Shared between a test and the recorder's thread.
#[derive(Clone)]
pub struct Faults(Arc<Plan>);

#[derive(Default)]
struct Plan {
    /// Files cannot be created while this is above zero; each refusal counts it down.
    creates: AtomicI64,
    writes: AtomicI64,
    syncs: AtomicI64,
    /// Syncs that succeeded.
    synced: AtomicU64,
    /// Syncs wait until this is zero.
    gate: AtomicI64,
}

impl Faults {
    pub fn none() -> Self {
        Self(Arc::new(Plan::default()))
    }

    pub fn driver(&self) -> io::Result<Driver> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Driver::Trial(runtime, self.clone()))
    }

    pub fn fail_creates(&self, times: i64) {
        self.0.creates.store(times, Ordering::SeqCst);
    }

    pub fn fail_writes(&self, times: i64) {
        self.0.writes.store(times, Ordering::SeqCst);
    }

    pub fn fail_syncs(&self, times: i64) {
        self.0.syncs.store(times, Ordering::SeqCst);
    }

    pub fn hold_syncs(&self) {
        self.0.gate.store(1, Ordering::SeqCst);
    }

    pub fn release_syncs(&self) {
        self.0.gate.store(0, Ordering::SeqCst);
    }

    pub fn synced(&self) -> u64 {
        self.0.synced.load(Ordering::SeqCst)
    }

    pub(super) fn create(&self) -> io::Result<()> {
        fault(&self.0.creates, rustix::io::Errno::NOSPC)
    }

    pub(super) fn write(&self) -> io::Result<()> {
        fault(&self.0.writes, rustix::io::Errno::NOSPC)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        while self.0.gate.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        fault(&self.0.syncs, rustix::io::Errno::IO)?;
        self.0.synced.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn fault(left: &AtomicI64, errno: rustix::io::Errno) -> io::Result<()> {
    let taken =
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left > 0).then(|| left - 1));
    if taken.is_ok() { Err(errno.into()) } else { Ok(()) }
}
