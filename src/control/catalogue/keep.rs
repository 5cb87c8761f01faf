//! Which catalogues are kept, and how fresh. A task for each: it reads when it is due or wanted,
//! and ends when nobody has used its catalogue for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::control::catalogue::tell::{Teller, Where};
use crate::control::catalogue::views::Learnt;
use crate::control::catalogue::{Place, Rules, read_again};
use crate::identity::lease::Lessor;
use crate::limits::{
    CATALOGUE_GAP_MS, CATALOGUE_GAP_MS_MAX, CATALOGUE_KEPT_MS, CATALOGUE_READ_MS_MAX,
    CATALOGUE_REFRESH_MS, CATALOGUE_STALE_MS_MAX, CATALOGUES_MAX,
};
use crate::mask::catalogue::{Catalogue, Cell, Raw};
use crate::observe::log::chain;
use crate::observe::sink::EventQueue;

/// How often catalogues are read.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// While sessions use them.
    pub refresh: Duration,
    /// Between two readings that sessions ask for, at first and at most.
    pub gap: Duration,
    pub gap_max: Duration,
    /// How long the last one is believed while none can be read.
    pub stale: Duration,
    /// How long one that no session uses is kept.
    pub kept: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_millis(CATALOGUE_REFRESH_MS),
            gap: Duration::from_millis(CATALOGUE_GAP_MS),
            gap_max: Duration::from_millis(CATALOGUE_GAP_MS_MAX),
            stale: Duration::from_millis(CATALOGUE_STALE_MS_MAX),
            kept: Duration::from_millis(CATALOGUE_KEPT_MS),
        }
    }
}

/// The catalogues of all databases that sessions use.
#[derive(Clone)]
pub struct Catalogues {
    lessor: Arc<Lessor>,
    pace: Pace,
    teller: Teller,
    kept: Arc<Mutex<HashMap<Key, Arc<Kept>>>>,
}

/// Connection, database, version of the configuration.
type Key = (String, Arc<str>, Arc<str>);

struct Kept {
    cell: Arc<Cell>,
    wanted: Arc<Notify>,
    /// When the last attempt to read ended.
    done: watch::Sender<Option<Instant>>,
}

impl Kept {
    /// Whether an attempt to read ended since `since`.
    fn is_fresh(&self, since: Instant) -> bool {
        self.done.borrow().is_some_and(|done| done >= since)
    }

    /// Besides the map and the task, nobody has it, and no session its cell.
    fn is_unused(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) <= 2 && Arc::strong_count(&self.cell) <= 1
    }
}

impl Catalogues {
    #[must_use]
    pub fn new(lessor: Arc<Lessor>, pace: Pace, events: EventQueue) -> Self {
        Self { lessor, pace, teller: Teller::new(events), kept: Arc::default() }
    }

    /// The catalogue of `place` under the rules of the configuration's `version`, fresh or just
    /// read. Waits for a reading, which callers share; one that fails leaves what was known, or a
    /// catalogue that protects everything. Sessions keep the cell for as long as they go by it.
    pub async fn cell(&self, place: Place, version: &Arc<str>, rules: &Rules) -> Arc<Cell> {
        let key = (place.connection.name(), Arc::clone(&place.database), Arc::clone(version));
        let Some(kept) = self.kept(key, place, rules) else {
            return Arc::new(Cell::new(Arc::new(Catalogue::unreadable()), || {}));
        };
        let recently = Instant::now().checked_sub(self.pace.refresh);
        let since = recently.unwrap_or_else(Instant::now);
        if !kept.is_fresh(since) {
            // Its first reading has begun, or is about to.
            if kept.done.borrow().is_some() {
                kept.wanted.notify_one();
            }
            let mut done = kept.done.subscribe();
            let read = done.wait_for(|done| done.is_some_and(|done| done >= since));
            // A reading has a bound of its own; a pause before it may be added.
            let most = Duration::from_millis(CATALOGUE_READ_MS_MAX) + self.pace.gap_max;
            let _read = tokio::time::timeout(most, read).await;
        }
        Arc::clone(&kept.cell)
    }

    /// How many databases' catalogues are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.kept).len()
    }

    fn kept(&self, key: Key, place: Place, rules: &Rules) -> Option<Arc<Kept>> {
        let mut all = lock(&self.kept);
        if let Some(kept) = all.get(&key) {
            return Some(Arc::clone(kept));
        }
        if all.len() >= CATALOGUES_MAX {
            tracing::warn!(
                connection = key.0,
                most = CATALOGUES_MAX,
                "too many databases: everything in this one counts as protected"
            );
            return None;
        }
        let wanted = Arc::new(Notify::new());
        let wake = Arc::clone(&wanted);
        let first = Arc::new(Catalogue::unreadable());
        let cell = Arc::new(Cell::new(first, move || wake.notify_one()));
        let kept = Arc::new(Kept { cell, wanted, done: watch::Sender::new(None) });
        all.insert(key.clone(), Arc::clone(&kept));
        let keeper = Keeper {
            catalogues: self.clone(),
            key,
            place,
            rules: rules.clone(),
            kept: Arc::clone(&kept),
            last: Last::default(),
        };
        tokio::spawn(keeper.keep());
        Some(kept)
    }

    /// Forgets it unless somebody took it meanwhile.
    fn forget(&self, key: &Key) -> bool {
        let mut all = lock(&self.kept);
        let unused = all.get(key).is_none_or(Kept::is_unused);
        if unused {
            all.remove(key);
        }
        unused
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps one catalogue.
struct Keeper {
    catalogues: Catalogues,
    key: Key,
    place: Place,
    rules: Rules,
    kept: Arc<Kept>,
    last: Last,
}

/// What the last reading that came to something brought.
#[derive(Default)]
struct Last {
    raw: Option<Arc<Raw>>,
    learnt: Learnt,
    read: Option<Instant>,
}

/// What a reading came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    News,
    Same,
    Nothing,
}

impl Keeper {
    async fn keep(mut self) {
        let pace = self.catalogues.pace;
        let (mut gap, mut used) = (pace.gap, Instant::now());
        loop {
            // Before reading: what is wanted from here on may not be seen by it.
            self.kept.cell.take_want();
            let came = self.read().await;
            self.kept.cell.count_read();
            self.kept.done.send_replace(Some(Instant::now()));
            gap = if came == Came::News { pace.gap } else { (gap * 2).min(pace.gap_max) };
            tokio::time::sleep(gap).await;
            loop {
                if !self.kept.is_unused() {
                    used = Instant::now();
                }
                let readable = self.last.raw.is_some();
                let linger = if readable { pace.kept } else { Duration::ZERO };
                if used.elapsed() >= linger && self.catalogues.forget(&self.key) {
                    return;
                }
                let in_use = used.elapsed() < pace.refresh;
                let due = if came == Came::Nothing { gap } else { pace.refresh };
                tokio::select! {
                    () = self.kept.wanted.notified() => break,
                    () = tokio::time::sleep(due) => if in_use { break },
                }
            }
        }
    }

    async fn read(&mut self) -> Came {
        let changes = self.kept.cell.changes();
        let came = self.read_and_publish().await;
        if came != Came::Nothing {
            self.kept.cell.settle(changes);
        }
        came
    }

    async fn read_and_publish(&mut self) -> Came {
        let read = read_again(&self.catalogues.lessor, &self.place, &self.last.learnt).await;
        let (raw, learnt) = match read {
            Ok(read) => read,
            Err(error) => {
                self.complain(&chain(&error));
                return Came::Nothing;
            }
        };
        self.last.read = Some(Instant::now());
        self.last.learnt = learnt;
        let unreadable = self.kept.cell.load().is_unreadable();
        if !unreadable && self.last.raw.as_deref() == Some(&raw) {
            return Came::Same;
        }
        let (raw, rules) = (Arc::new(raw), self.rules.clone());
        let read = Arc::clone(&raw);
        // Large ones take a while, and this thread serves others.
        let apply = move || (rules.apply(&read), rules.unmatched(&read));
        let applied = tokio::task::spawn_blocking(apply).await;
        // A defect in a rule is no reason to go by the old.
        let (built, unmatched) =
            applied.unwrap_or_else(|_panicked| (Catalogue::unreadable(), Vec::new()));
        self.kept.cell.publish(Arc::new(built));
        self.catalogues.teller.tell(&self.place(), unmatched);
        self.last.raw = Some(raw);
        Came::News
    }

    fn place(&self) -> Where {
        let (_, database, version) = &self.key;
        Where {
            version: Arc::clone(version),
            target: Arc::clone(&self.place.target.name),
            database: Arc::clone(database),
        }
    }

    /// What cannot be read anew is believed for a while.
    fn complain(&mut self, error: &str) {
        let (connection, database) = (&self.key.0, &*self.place.database);
        let stale = self.last.read.is_none_or(|read| read.elapsed() >= self.catalogues.pace.stale);
        if !stale {
            tracing::warn!(connection, database, error, "the catalogue cannot be read anew");
            return;
        }
        tracing::warn!(
            connection,
            database,
            error,
            "the catalogue cannot be read: everything counts as protected"
        );
        if !self.kept.cell.load().is_unreadable() {
            self.kept.cell.publish(Arc::new(Catalogue::unreadable()));
        }
        self.last.raw = None;
    }
}
