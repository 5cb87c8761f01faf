//! The time by which requests stand and expire: the wall clock's, kept from running backwards. Knows
//! two clocks; not what waits.
//!
//! A wall clock may be set. Where it jumps back, time goes on by what has really passed, so that no
//! approval stands longer than was promised. Where it jumps forward, what stands ends early.

use std::time::Instant;

use crate::model::time::unix_ms;

/// What the machine's clocks show at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// May jump.
    pub wall_ms: u64,
    /// Only ever grows, from wherever it began.
    pub steady_ms: u64,
}

pub struct Clock {
    read: Box<dyn FnMut() -> Reading + Send>,
    /// When it was asked last, and what it told.
    last: Option<(Reading, u64)>,
}

impl Clock {
    /// The machine's.
    #[must_use]
    pub fn system() -> Self {
        let begun = Instant::now();
        Self::reading(move || Reading {
            wall_ms: unix_ms(),
            steady_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    #[must_use]
    pub fn reading(read: impl FnMut() -> Reading + Send + 'static) -> Self {
        Self { read: Box::new(read), last: None }
    }

    pub fn now_ms(&mut self) -> u64 {
        let reading = (self.read)();
        let now_ms = match self.last {
            None => reading.wall_ms,
            Some((before, told_ms)) => {
                let passed_ms = reading.steady_ms.saturating_sub(before.steady_ms);
                reading.wall_ms.max(told_ms.saturating_add(passed_ms))
            }
        };
        self.last = Some((reading, now_ms));
        now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it tells as the machine's clocks show these, one after the other.
    fn told(readings: &'static [(u64, u64)]) -> Vec<u64> {
        let mut left = readings.iter();
        let mut clock = Clock::reading(move || {
            let &(wall_ms, steady_ms) = left.next().unwrap();
            Reading { wall_ms, steady_ms }
        });
        readings.iter().map(|_| clock.now_ms()).collect()
    }

    #[test]
    fn a_wall_clock_that_is_right_is_believed() {
        assert_eq!(told(&[(1_000, 5), (1_010, 15), (1_500, 505)]), [1_000, 1_010, 1_500]);
    }

    #[test]
    fn time_goes_on_where_the_wall_clock_jumps_back() {
        let jumps = told(&[(10_000, 0), (400, 100), (500, 200), (200, 1_000), (12_000, 1_100)]);
        assert_eq!(jumps, [10_000, 10_100, 10_200, 11_000, 12_000]);
    }

    #[test]
    fn a_jump_forward_is_not_taken_back() {
        assert_eq!(told(&[(1_000, 0), (9_000, 10), (1_020, 20)]), [1_000, 9_000, 9_010]);
    }
}
