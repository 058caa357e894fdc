//! How large the next chunk is. Pure: time comes in as an argument.

use std::time::Duration;

/// What a fill may cost the application. What an application's tail feels is the length of
/// one chunk, not how much of the time a chunk is running, so the target is a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// What it is called.
    pub name: &'static str,
    /// How long one chunk should take.
    pub target: Duration,
    /// The share of the time in which a chunk runs, above 0 and up to 1.
    pub duty: f64,
}

impl Pace {
    /// Not felt: chunks of 1 ms, a quarter of the time.
    pub const GENTLE: Self = Self { name: "gentle", target: Duration::from_millis(1), duty: 0.25 };
    /// Barely felt: chunks of 1 ms, each with a rest that a timer makes 1 or 2 ms long; rests that were
    /// saved up, so that three quarters of the time were worked, were felt more.
    pub const DEFAULT: Self =
        Self { name: "default", target: Duration::from_millis(1), duty: 0.75 };
    /// Chunks of 20 ms: for an application that is not there, or does not mind.
    pub const FAST: Self = Self { name: "fast", target: Duration::from_millis(20), duty: 1.0 };

    /// The pace of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "gentle" => Some(Self::GENTLE),
            "default" => Some(Self::DEFAULT),
            "fast" => Some(Self::FAST),
            _ => None,
        }
    }

    /// How long to leave the database alone after a chunk that took `took`, when only that share
    /// of the duty may be used.
    pub fn rest(&self, took: Duration, ease: f64) -> Duration {
        let duty = (self.duty * ease).clamp(0.001, 1.0);
        took.mul_f64((1.0 - duty) / duty)
    }
}

/// The smallest and the largest chunk, in rows.
const ROWS_MIN: u32 = 10;
/// See [`ROWS_MIN`].
const ROWS_MAX: u32 = 100_000;
/// The first chunk, before anything is known.
const ROWS_FIRST: u32 = 200;
/// The largest chunk before it is known what changing a row costs.
const ROWS_UNKNOWN: u32 = 10_000;

/// A chunk that took this many times its target halves the next one at once.
const PANIC: f64 = 5.0;
/// A chunk of rows that are all to be changed may take that many times its target, if the rows
/// so far are anything to go by.
const SLACK: f64 = 4.0;

/// Finds out how many rows a chunk may have.
#[derive(Clone, Debug)]
pub struct Sizer {
    rows: u32,
    /// What changing one row costs in seconds, as far as it was seen.
    cost: Option<f64>,
}

impl Default for Sizer {
    fn default() -> Self {
        Self { rows: ROWS_FIRST, cost: None }
    }
}

impl Sizer {
    /// The size of the next chunk, in rows that it walks over.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Takes in what a chunk took that changed so many rows: towards the target, up by at most a
    /// half, down by at most a half, and smoothed, because times are noisy. Where little was
    /// left to change a chunk says nothing of the next, which may change every row.
    pub fn took(&mut self, changed: u64, took: Duration, pace: &Pace) {
        let took = took.as_secs_f64().max(1e-6);
        let target = pace.target.as_secs_f64();
        let ratio = target / took;
        let rows = f64::from(self.rows);
        let wanted = if ratio < 1.0 / PANIC {
            rows * 0.5
        } else {
            (0.7 * rows + 0.3 * rows * ratio).clamp(rows * 0.5, rows * 1.5)
        };
        #[expect(clippy::cast_precision_loss, reason = "a cost")]
        let changed = changed as f64;
        if changed >= rows / 2.0 {
            let cost = took / changed;
            self.cost = Some(self.cost.map_or(cost, |before| 0.8 * before + 0.2 * cost));
        }
        // Before a cost is known a chunk stays as it was begun.
        let most = self.cost.map_or(f64::from(ROWS_UNKNOWN), |cost| SLACK * target / cost);
        self.set(wanted.min(most.max(rows * 0.5)));
    }

    /// A chunk met somebody: a smaller one meets fewer.
    pub fn met(&mut self) {
        self.set(f64::from(self.rows / 2));
    }

    fn set(&mut self, rows: f64) {
        let rows = rows.round().clamp(f64::from(ROWS_MIN), f64::from(ROWS_MAX));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the range of a chunk just above"
        )]
        let rows = rows as u32;
        self.rows = rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(millis: u64) -> Pace {
        Pace { target: Duration::from_millis(millis), ..Pace::DEFAULT }
    }

    #[test]
    fn sizes_move_towards_the_target() {
        for (rows, took_ms, expected) in [
            (1_000, 10, 1_000),
            (1_000, 5, 1_300),
            (1_000, 1, 1_500),
            (1_000, 20, 850),
            (1_000, 100, 500),
            (10, 1_000, 10),
            (90_000, 1, 100_000),
        ] {
            let mut sizer = Sizer { rows, cost: None };
            sizer.took(u64::from(rows), Duration::from_millis(took_ms), &pace(10));
            assert_eq!(sizer.rows(), expected, "{rows} rows in {took_ms} ms");
        }
        let mut sizer = Sizer { rows: 15, cost: None };
        sizer.met();
        assert_eq!(sizer.rows(), ROWS_MIN);
    }

    #[test]
    fn rows_that_need_nothing_do_not_make_the_next_chunk_long() {
        let mut sizer = Sizer::default();
        for _ in 0..100 {
            sizer.took(0, Duration::from_micros(50), &pace(2));
        }
        assert_eq!(sizer.rows(), ROWS_UNKNOWN);
        // 20 µs a row: 100 rows take the target of 2 ms.
        for _ in 0..100 {
            let took = Duration::from_micros(20 * u64::from(sizer.rows()));
            sizer.took(u64::from(sizer.rows()), took, &pace(2));
        }
        assert!((90..=110).contains(&sizer.rows()), "{}", sizer.rows());
        for _ in 0..100 {
            sizer.took(0, Duration::from_micros(50), &pace(2));
        }
        assert!((350..=450).contains(&sizer.rows()), "{}", sizer.rows());
    }

    #[test]
    fn rest_follows_the_duty_and_what_is_left_of_it() {
        let took = Duration::from_millis(10);
        let half = Pace { duty: 0.5, ..Pace::DEFAULT };
        assert_eq!(half.rest(took, 1.0), took);
        assert_eq!(half.rest(took, 0.5), Duration::from_millis(30));
        assert_eq!(Pace::FAST.rest(took, 1.0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_size_stays_within_its_caps(
            rows in ROWS_MIN..ROWS_MAX,
            changed in 0u64..200_000,
            micros in 0u64..100_000_000,
        ) {
            let mut sizer = Sizer { rows, cost: None };
            sizer.took(changed, Duration::from_micros(micros), &Pace::DEFAULT);
            prop_assert!((ROWS_MIN..=ROWS_MAX).contains(&sizer.rows()));
        }

        #[test]
        fn a_constant_cost_converges(cost_nanos in 100u32..100_000) {
            let mut sizer = Sizer::default();
            for _ in 0..200 {
                let rows = u64::from(sizer.rows());
                sizer.took(rows, Duration::from_nanos(u64::from(cost_nanos) * rows), &pace(10));
            }
            let ideal = (10_000_000.0 / f64::from(cost_nanos)).clamp(10.0, 100_000.0);
            prop_assert!((f64::from(sizer.rows()) / ideal - 1.0).abs() < 0.1, "{} for {ideal}", sizer.rows());
        }
    }
}
