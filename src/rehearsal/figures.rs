//! From what was seen to what is said: figures for each phase, and which budget they break.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::{Broken, PhaseFigures, Second};

/// A request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was due, from the beginning of the load.
    pub at: Duration,
    /// How long its answer took.
    pub took: Duration,
    /// Which script.
    pub script: usize,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

/// How the database was, at a look.
#[derive(Clone, Copy, Debug)]
pub struct Strained {
    /// When, from the beginning of the load.
    pub at: Duration,
    /// How long somebody of the load has waited for a lock.
    pub waits: Duration,
    /// Where the server's log ends, in bytes.
    pub log: u64,
}

/// The beginning of a phase.
#[derive(Clone, Debug)]
pub struct Mark {
    /// What it is called.
    pub name: String,
    /// When it began, from the beginning of the load.
    pub at: Duration,
}

/// What a change may cost an application.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// How many times the p99 from before a phase's p99 may be.
    pub p99_ratio: f64,
    /// How long a request may wait for a lock.
    pub lock_wait: Duration,
    /// How many requests may fail.
    pub errors: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { p99_ratio: 2.0, lock_wait: Duration::from_secs(1), errors: 0 }
    }
}

/// What was felt in each phase; the first is the one that the others are compared with.
pub fn phases(
    marks: &[Mark],
    seen: &[Seen],
    strained: &[Strained],
    end: Duration,
) -> Vec<PhaseFigures> {
    let ends = marks.iter().skip(1).map(|mark| mark.at).chain([end]);
    let mut all: Vec<PhaseFigures> = Vec::new();
    for (mark, end) in marks.iter().zip(ends) {
        let within = |at: Duration| at >= mark.at && at < end;
        let mine: Vec<&Seen> = seen.iter().filter(|one| within(one.at)).collect();
        let looks: Vec<&Strained> = strained.iter().filter(|one| within(one.at)).collect();
        let times = sorted(mine.iter().map(|one| one.took));
        let failed = || mine.iter().filter_map(|one| one.failed.as_ref());
        let p99 = percentile(&times, 99);
        let before =
            all.first().map_or((times.len() as u64, p99), |one| (one.requests, one.p99_us));
        let log = |one: Option<&&Strained>| one.map_or(0, |one| one.log);
        all.push(PhaseFigures {
            name: mark.name.clone(),
            begun_ms: millis(mark.at),
            ended_ms: millis(end),
            requests: times.len() as u64,
            errors: failed().count() as u64,
            first_error: failed().next().cloned(),
            p50_us: percentile(&times, 50),
            p99_us: p99,
            max_us: times.last().copied().unwrap_or_default(),
            p99_ratio: (before.0 > 0 && !times.is_empty()).then(|| ratio(p99, before.1)),
            lock_wait_ms: looks.iter().map(|one| millis(one.waits)).max().unwrap_or_default(),
            log_bytes: log(looks.last()).saturating_sub(log(looks.first())),
        });
    }
    all
}

/// The latency in each second, for a plot.
pub(super) fn seconds(seen: &[Seen]) -> Vec<Second> {
    let last = seen.iter().map(|one| one.at.as_secs()).max();
    let mut each: Vec<Vec<&Seen>> = vec![Vec::new(); last.map_or(0, |last| index(last) + 1)];
    for one in seen {
        each[index(one.at.as_secs())].push(one);
    }
    let second = |mine: &Vec<&Seen>| {
        let times = sorted(mine.iter().map(|one| one.took));
        Second {
            requests: mine.len() as u64,
            errors: mine.iter().filter(|one| one.failed.is_some()).count() as u64,
            p50_us: percentile(&times, 50),
            p99_us: percentile(&times, 99),
        }
    };
    each.iter().map(second).collect()
}

/// What is beyond the budget.
pub(super) fn judge(phases: &[PhaseFigures], budget: &Budget) -> Vec<Broken> {
    let mut broken = Vec::new();
    for phase in phases {
        // Where nothing was sent, nothing was shown.
        if phase.requests == 0 {
            broken.push(Broken {
                budget: "load".into(),
                phase: phase.name.clone(),
                found: "no request was sent: a script is missing of the code that runs then, or the rate is too low".into(),
                limit: "one at least".into(),
            });
        }
        if let Some(ratio) = phase.p99_ratio.filter(|ratio| *ratio > budget.p99_ratio) {
            broken.push(Broken {
                budget: "max_p99_ratio".into(),
                phase: phase.name.clone(),
                found: format!("p99 × {ratio:.2}"),
                limit: format!("× {}", budget.p99_ratio),
            });
        }
        if phase.lock_wait_ms > millis(budget.lock_wait) {
            broken.push(Broken {
                budget: "max_lock_wait".into(),
                phase: phase.name.clone(),
                found: format!("a request waited {} ms for a lock", phase.lock_wait_ms),
                limit: format!("{} ms", millis(budget.lock_wait)),
            });
        }
    }
    let errors: u64 = phases.iter().map(|phase| phase.errors).sum();
    if errors > budget.errors {
        let first = phases.iter().find(|phase| phase.errors > 0);
        broken.push(Broken {
            budget: "errors".into(),
            phase: first.map(|phase| phase.name.clone()).unwrap_or_default(),
            found: format!(
                "{errors} failed, first: {}",
                first.and_then(|phase| phase.first_error.as_deref()).unwrap_or_default()
            ),
            limit: budget.errors.to_string(),
        });
    }
    broken
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<u64> {
    let mut all: Vec<u64> =
        times.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).collect();
    all.sort_unstable();
    all
}

fn percentile(sorted: &[u64], of_hundred: usize) -> u64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0 };
    sorted[last * of_hundred / 100]
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of two small numbers")]
fn ratio(now: u64, before: u64) -> f64 {
    now as f64 / before.max(1) as f64
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn index(second: u64) -> usize {
    usize::try_from(second).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: u64, took: u64, failed: bool) -> Seen {
        let failed = failed.then(|| "no such column".to_owned());
        Seen { at: Duration::from_millis(at), took: Duration::from_millis(took), script: 0, failed }
    }

    #[test]
    fn what_is_beyond_a_budget_is_named_with_its_phase() {
        let mark = |name: &str, at| Mark { name: name.into(), at: Duration::from_secs(at) };
        let marks = [mark("before", 0), mark("expand", 1), mark("after", 2)];
        let mut all: Vec<_> = (0..100).map(|n| seen(n * 10, 2, false)).collect();
        all.extend((0..100).map(|n| seen(1_000 + n * 10, if n < 3 { 9 } else { 2 }, n == 7)));
        all.push(seen(2_500, 2, false));
        let look = |at, waits, log| Strained {
            at: Duration::from_millis(at),
            waits: Duration::from_millis(waits),
            log,
        };
        let looks = [look(100, 0, 50), look(1_100, 700, 60), look(1_900, 20, 90)];
        let phases = phases(&marks, &all, &looks, Duration::from_secs(3));
        let figures: Vec<_> = phases
            .iter()
            .map(|one| (one.requests, one.errors, one.p50_us, one.p99_us, one.lock_wait_ms))
            .collect();
        assert_eq!(
            figures,
            [(100, 0, 2_000, 2_000, 0), (100, 1, 2_000, 9_000, 700), (1, 0, 2_000, 2_000, 0)]
        );
        assert_eq!(phases[1].log_bytes, 30);
        let budget = |p99_ratio, wait, errors| Budget {
            p99_ratio,
            lock_wait: Duration::from_millis(wait),
            errors,
        };
        assert_eq!(phases[1].p99_ratio, Some(4.5));
        assert_eq!(judge(&phases, &budget(4.5, 700, 1)), []);
        // A phase in which nothing was sent shows nothing, and is no measure for others.
        let silent = super::phases(&marks, &all[100..200], &looks, Duration::from_secs(3));
        assert_eq!(silent[1].p99_ratio, None);
        let broken = judge(&silent, &budget(100.0, 1_000, 9));
        let named: Vec<_> = broken.iter().map(|one| (&*one.budget, &*one.phase)).collect();
        assert_eq!(named, [("load", "before"), ("load", "after")]);
        let broken = judge(&phases, &budget(4.4, 699, 0));
        let named: Vec<_> = broken.iter().map(|one| (&*one.budget, &*one.phase)).collect();
        assert_eq!(
            named,
            [("max_p99_ratio", "expand"), ("max_lock_wait", "expand"), ("errors", "expand")]
        );
        let each = seconds(&all);
        assert_eq!(each.len(), 3);
        assert_eq!((each[1].requests, each[1].errors, each[1].p99_us), (100, 1, 9_000));
    }
}
