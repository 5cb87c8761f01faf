//! Processor time of this thread: other processes take from the clock, not from that.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long each figure is measured.
#[derive(Clone, Copy)]
pub struct Meter {
    each: Duration,
}

impl Meter {
    pub const fn new(quick: bool) -> Self {
        Self { each: Duration::from_millis(if quick { 20 } else { 1_000 }) }
    }

    /// How long a figure is measured.
    pub const fn each(self) -> Duration {
        self.each
    }

    /// The least nanoseconds that one of `rounds` rounds took, of as many runs as there is time for.
    pub fn least_ns(self, rounds: u32, mut round: impl FnMut(u32)) -> f64 {
        let begin = Instant::now();
        let mut least = f64::INFINITY;
        while begin.elapsed() < self.each || least == f64::INFINITY {
            let before = thread_ns();
            (0..rounds).for_each(&mut round);
            least = least.min((thread_ns() - before) / f64::from(rounds));
        }
        least
    }
}

fn thread_ns() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e9 + spent.tv_nsec as f64
}
