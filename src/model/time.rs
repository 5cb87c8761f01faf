//! Time as an argument. Machines never read a clock; whoever drives them passes `Now`.

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
