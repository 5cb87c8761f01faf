//! The place where sessions find the newest catalogue of their database. Reading it takes no lock;
//! asking for a newer one takes no time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::mask::catalogue::Catalogue;

/// One connection's database, as it was last read.
pub struct Cell {
    newest: ArcSwap<Catalogue>,
    generation: AtomicU64,
    reads: AtomicU64,
    wanted: AtomicBool,
    /// Changes of definitions that somebody saw, and how many of them the newest one knows.
    changes: AtomicU64,
    changes_known: AtomicU64,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Cell {
    /// `wake` is called when a newer catalogue is wanted: from any thread, and it may not wait.
    pub fn new(first: Arc<Catalogue>, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            newest: ArcSwap::new(first),
            generation: AtomicU64::new(1),
            reads: AtomicU64::new(0),
            wanted: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            changes_known: AtomicU64::new(0),
            wake: Box::new(wake),
        }
    }

    #[must_use]
    pub fn load(&self) -> Arc<Catalogue> {
        self.newest.load_full()
    }

    /// Rises with every catalogue that differs from the one before.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Rises with every attempt to read, whatever came of it.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Acquire)
    }

    /// Says that definitions have changed, and returns how many changes there are now. To be called
    /// once the change is done, which is when its transaction has ended.
    pub fn changed(&self) -> u64 {
        let changes = self.changes.fetch_add(1, Ordering::AcqRel) + 1;
        self.want();
        changes
    }

    /// Whether the newest catalogue was read after so many changes.
    #[must_use]
    pub fn knows(&self, changes: u64) -> bool {
        self.changes_known.load(Ordering::Acquire) >= changes
    }

    /// Says that something unknown was met.
    pub fn want(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }

    /// Whether somebody wants a newer one; not any more, once this has been asked.
    pub fn take_want(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }

    pub fn publish(&self, catalogue: Arc<Catalogue>) {
        self.newest.store(catalogue);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// How many changes there were. Whoever reads asks before, and says so to `settle` after.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The newest catalogue was read after so many changes.
    pub fn settle(&self, changes: u64) {
        self.changes_known.fetch_max(changes, Ordering::AcqRel);
    }

    pub fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("generation", &self.generation()).finish_non_exhaustive()
    }
}
