//! The one module that reads a clock.
#![expect(clippy::disallowed_methods, reason = "this module is the one clock")]

use std::time::{Duration, Instant};

use reports::ClockFacts;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Instant);

/// Reads the clock.
#[inline]
#[must_use]
pub fn now() -> Moment {
    Moment(Instant::now())
}

impl Moment {
    /// Nanoseconds from `earlier` to `self`; zero where the clock stepped back.
    #[inline]
    #[must_use]
    pub fn nanoseconds_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_duration_since(earlier.0).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Time from `earlier` to `self`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// Time from `self` to now.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Readings per sample when the clock's own cost is taken.
const READINGS: u32 = 1000;
/// Samples of which the median is the clock's cost.
const SAMPLES: usize = 15;

/// Measures what a reading costs and the smallest step it shows.
#[must_use]
pub fn facts() -> ClockFacts {
    let mut costs_ps: Vec<u64> = (0..SAMPLES).map(|_| cost_ps()).collect();
    costs_ps.sort_unstable();
    ClockFacts {
        cost_ps: costs_ps[SAMPLES / 2],
        resolution_ns: resolution_ns(),
    }
}

fn cost_ps() -> u64 {
    let start = now();
    for _ in 0..READINGS {
        std::hint::black_box(now());
    }
    now().nanoseconds_since(start) * 1000 / u64::from(READINGS)
}

fn resolution_ns() -> u64 {
    let mut last = now();
    let steps = (0..READINGS).filter_map(|_| {
        let next = now();
        let step = next.nanoseconds_since(last);
        last = next;
        (step > 0).then_some(step)
    });
    steps.min().unwrap_or(0)
}

/// Seconds since the Unix epoch, for record stamps.
#[must_use]
pub fn unix_seconds() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_forward_and_costs_something() {
        let start = now();
        let facts = facts();
        assert!(facts.cost_ps > 0 && facts.resolution_ns > 0);
        assert!(now().nanoseconds_since(start) > 0);
        assert_eq!(
            start.nanoseconds_since(now()),
            0,
            "backwards is zero, not an underflow"
        );
    }
}
