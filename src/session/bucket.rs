//! How many statements the sessions of one connection may make together: a bucket that holds as many
//! as the limit says for a minute, and is refilled evenly. Shared by the workers without a lock; time
//! is an argument. Knows counts, not what they are of.
//!
//! What is kept is the instant at which the bucket would be full again. A statement moves it on by its
//! share of a minute, and one that would move it more than a minute ahead is one too many.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::limits::STATEMENTS_PER_MINUTE_MAX;
use crate::model::time::{NS_PER_S, Now};

pub struct Bucket {
    per_minute: AtomicU32,
    /// On the monotonic clock, as all instants here.
    full_at_ns: AtomicU64,
    /// When a refusal was told last; zero before the first.
    told_at_ns: AtomicU64,
    /// Refusals since then.
    untold: AtomicU64,
}

/// Why nothing could be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dry {
    /// There will be enough after this.
    For { ns: u64 },
    /// It never holds so many.
    Forever,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self {
            per_minute: AtomicU32::new(per_minute),
            full_at_ns: AtomicU64::new(0),
            told_at_ns: AtomicU64::new(0),
            untold: AtomicU64::new(0),
        }
    }

    /// From now on it holds so many, and is as full as it was before.
    pub fn resize(&self, per_minute: u32) {
        self.per_minute.store(per_minute, Ordering::Relaxed);
    }

    /// Takes `count`, or none.
    pub fn draw(&self, count: u32, now: Now) -> Result<(), Dry> {
        if count > self.per_minute() {
            return Err(Dry::Forever);
        }
        let (share_ns, holds_ns) = self.measures();
        let full_after =
            |full_at_ns: u64| full_at_ns.max(now.mono_ns) + share_ns * u64::from(count);
        let drawn = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at_ns| {
            Some(full_after(at_ns)).filter(|after_ns| *after_ns - now.mono_ns <= holds_ns)
        });
        drawn
            .map(|_before| ())
            .map_err(|at_ns| Dry::For { ns: full_after(at_ns) - now.mono_ns - holds_ns })
    }

    /// Takes `count` whether they are there or not. Nobody waits more than a minute for what is owed.
    pub fn overdraw(&self, count: u32, now: Now) {
        let (share_ns, holds_ns) = self.measures();
        let owed_at_most_ns = now.mono_ns + 2 * holds_ns;
        let drawn = |at_ns: u64| {
            let drawn_ns = share_ns.saturating_mul(count.into());
            let after_ns = at_ns.max(now.mono_ns).saturating_add(drawn_ns);
            Some(after_ns.min(owed_at_most_ns).max(at_ns))
        };
        let _always = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, drawn);
    }

    /// Whether a refusal is to be told by itself: once a minute. The others are counted.
    pub fn tells(&self, now: Now) -> bool {
        let told = self.told_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at_ns| {
            is_past(at_ns, now).then_some(now.mono_ns.max(1))
        });
        if told.is_err() {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
        told.is_ok()
    }

    /// How many refusals were only counted, once that is to be told.
    pub fn untold(&self, now: Now) -> Option<u64> {
        let is_due = self.untold.load(Ordering::Relaxed) > 0
            && is_past(self.told_at_ns.load(Ordering::Relaxed), now);
        if is_due { self.untold_so_far() } else { None }
    }

    /// The same at once.
    pub fn untold_so_far(&self) -> Option<u64> {
        Some(self.untold.swap(0, Ordering::Relaxed)).filter(|count| *count > 0)
    }

    /// It is like a new one.
    #[must_use]
    pub fn is_fresh(&self, now: Now) -> bool {
        self.full_at_ns.load(Ordering::Relaxed) <= now.mono_ns
            && self.untold.load(Ordering::Relaxed) == 0
            && is_past(self.told_at_ns.load(Ordering::Relaxed), now)
    }

    #[must_use]
    pub fn per_minute(&self) -> u32 {
        self.per_minute.load(Ordering::Relaxed)
    }

    /// What one statement takes of a minute, and what all of them take together.
    fn measures(&self) -> (u64, u64) {
        let per_minute = u64::from(self.per_minute().max(1));
        let share_ns = MINUTE_NS / per_minute;
        (share_ns, share_ns * per_minute)
    }
}

const fn is_past(told_at_ns: u64, now: Now) -> bool {
    told_at_ns == 0 || now.mono_ns >= told_at_ns.saturating_add(MINUTE_NS)
}

const MINUTE_NS: u64 = 60 * NS_PER_S;
// A share that is rounded is rounded by less than a thousandth.
const _: () = assert!(MINUTE_NS / STATEMENTS_PER_MINUTE_MAX as u64 >= 1_000);

#[cfg(test)]
mod tests;
