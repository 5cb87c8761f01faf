//! Time as an argument. Machines never read a clock; whoever drives them passes `Now`, and what is
//! off the path asks the wall clock here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One reading of both clocks, taken once a loop turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since the Unix epoch; may step.
    pub unix_ns: u64,
    /// Nanoseconds on the monotonic clock; never steps back. Deadlines are expressed on it.
    pub mono_ns: u64,
}

pub const NS_PER_MS: u64 = 1_000_000;
pub const NS_PER_S: u64 = 1_000_000_000;

impl Now {
    /// Whole seconds since the Unix epoch, as token claims count them.
    #[must_use]
    pub const fn unix_s(self) -> u64 {
        self.unix_ns / NS_PER_S
    }

    /// The monotonic instant `ms` milliseconds from now.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> u64 {
        self.mono_ns.saturating_add(ms.saturating_mul(NS_PER_MS))
    }
}

/// What the wall clock shows, since the Unix epoch. It may step.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in nanoseconds.
#[must_use]
pub fn unix_ns() -> u64 {
    u64::try_from(unix_time().as_nanos()).unwrap_or(u64::MAX)
}

/// The same in whole milliseconds.
#[must_use]
pub fn unix_ms() -> u64 {
    u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX)
}
