//! How large the next chunk is. Pure: time comes in as an argument.

use std::time::Duration;

/// What a fill may cost the application. What an application's tail feels is the length of
/// one chunk, not how much of the time a chunk is running, so the target is a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How long one chunk should take.
    pub target: Duration,
    /// The share of the time in which a chunk runs, above 0 and up to 1.
    pub duty: f64,
}

impl Pace {
    /// Barely felt: chunks of 1 ms, half of the time.
    pub const GENTLE: Self = Self { target: Duration::from_millis(1), duty: 0.5 };
    /// Chunks of 2 ms.
    pub const DEFAULT: Self = Self { target: Duration::from_millis(2), duty: 1.0 };
    /// Chunks of 20 ms: for an application that is not there, or does not mind.
    pub const FAST: Self = Self { target: Duration::from_millis(20), duty: 1.0 };

    /// The pace of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "gentle" => Some(Self::GENTLE),
            "default" => Some(Self::DEFAULT),
            "fast" => Some(Self::FAST),
            _ => None,
        }
    }

    /// How long to leave the database alone after a chunk that took `took`.
    pub fn rest(&self, took: Duration) -> Duration {
        let duty = self.duty.clamp(0.01, 1.0);
        took.mul_f64((1.0 - duty) / duty)
    }
}

/// The smallest and the largest chunk, in rows.
pub(super) const ROWS_MIN: u32 = 10;
/// See [`ROWS_MIN`].
pub(super) const ROWS_MAX: u32 = 100_000;
/// The first chunk, before anything is known.
pub(super) const ROWS_FIRST: u32 = 200;

/// A chunk that took this many times its target halves the next one at once.
const PANIC: f64 = 5.0;

/// The size of the chunk after one of `previous` rows that took `took`: towards the target,
/// up by at most a half, down by at most a half, and smoothed, because times are noisy.
pub fn next_size(previous: u32, took: Duration, pace: &Pace) -> u32 {
    let ratio = pace.target.as_secs_f64() / took.as_secs_f64().max(1e-6);
    let previous = f64::from(previous);
    let wanted = if ratio < 1.0 / PANIC {
        previous * 0.5
    } else {
        (0.7 * previous + 0.3 * previous * ratio).clamp(previous * 0.5, previous * 1.5)
    };
    let rows = wanted.round().clamp(f64::from(ROWS_MIN), f64::from(ROWS_MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of a chunk just above"
    )]
    let rows = rows as u32;
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_move_towards_the_target() {
        let pace = Pace { target: Duration::from_millis(10), duty: 1.0 };
        for (previous, took_ms, expected) in [
            (1_000, 10, 1_000),
            (1_000, 5, 1_300),
            (1_000, 1, 1_500),
            (1_000, 20, 850),
            (1_000, 100, 500),
            (10, 1_000, 10),
            (90_000, 1, 100_000),
        ] {
            let size = next_size(previous, Duration::from_millis(took_ms), &pace);
            assert_eq!(size, expected, "{previous} rows in {took_ms} ms");
        }
    }

    #[test]
    fn rest_follows_the_duty() {
        let pace = Pace { target: Duration::from_millis(1), duty: 0.25 };
        assert_eq!(pace.rest(Duration::from_millis(10)), Duration::from_millis(30));
        assert_eq!(Pace::DEFAULT.rest(Duration::from_millis(10)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_size_stays_within_its_caps(previous in 1u32..1_000_000, micros in 0u64..100_000_000) {
            let size = next_size(previous, Duration::from_micros(micros), &Pace::DEFAULT);
            prop_assert!((ROWS_MIN..=ROWS_MAX).contains(&size));
        }

        #[test]
        fn a_constant_cost_converges(cost_nanos in 100u32..100_000) {
            let pace = Pace { target: Duration::from_millis(10), duty: 1.0 };
            let mut size = ROWS_FIRST;
            for _ in 0..200 {
                let took = Duration::from_nanos(u64::from(cost_nanos) * u64::from(size));
                size = next_size(size, took, &pace);
            }
            let ideal = (10_000_000.0 / f64::from(cost_nanos)).clamp(10.0, 100_000.0);
            prop_assert!((f64::from(size) / ideal - 1.0).abs() < 0.1, "{size} for {ideal}");
        }
    }
}
