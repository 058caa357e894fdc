//! What a rehearsal found, as a value that is shown, kept and compared.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::figures::{Budget, Seen, judge, seconds};

/// The version of this format.
const FORMAT: u32 = 1;

/// A rehearsal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The version of this format.
    pub zdmig_rehearsal: u32,
    /// The migration.
    pub migration: String,
    /// The fingerprint of the plan that was run.
    pub plan: String,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Who ran it.
    pub by: String,
    /// The database it was run on, in words.
    pub server: String,
    /// Rows of each table that the plan touches, as it began.
    pub rows: BTreeMap<String, u64>,
    /// Requests a second that were sent.
    pub rate: f64,
    /// How many of them could be under way at the same time.
    pub connections: u32,
    /// What was sent.
    pub workloads: Vec<Workload>,
    /// What was felt, in order; the first is from before.
    pub phases: Vec<PhaseFigures>,
    /// What the fill did, where there was one.
    pub fill: Option<Fill>,
    /// The pace of the fill, by its name.
    #[serde(default)]
    pub pace: String,
    /// Every way back that was gone.
    pub ways_back: Vec<WayBack>,
    /// What each step locked that ran forward, in the order in which they first did.
    #[serde(default)]
    pub steps: Vec<StepLocks>,
    /// Bytes of the tables and their indexes, before and after.
    pub bytes: (u64, u64),
    /// What it might cost.
    pub budget: Budget,
    /// Budgets that were broken.
    pub broken: Vec<Broken>,
    /// Second by second, for a plot.
    pub seconds: Vec<Second>,
}

/// A script, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its file.
    pub name: String,
    /// `old` where it uses what contract takes away, `new` where it needs what expand adds, else `both`.
    pub code: String,
}

/// What was felt in a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// What it is called.
    pub name: String,
    /// When it began, in ms from the beginning of the load.
    pub begun_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Why the first of them failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// Half of the requests took no longer, in us.
    pub p50_us: u64,
    /// 99 of 100 took no longer, in us.
    pub p99_us: u64,
    /// The slowest, in us.
    pub max_us: u64,
    /// The p99 against that from before, where requests were sent in both.
    pub p99_ratio: Option<f64>,
    /// The longest that a request was seen to wait for a lock, in ms.
    pub lock_wait_ms: u64,
    /// Bytes that the server wrote to its log.
    pub log_bytes: u64,
}

/// What a fill did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fill {
    /// Rows.
    pub rows: u64,
    /// How long the phase took, in seconds.
    pub seconds: f64,
}

/// What a step locked of what was there before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLocks {
    /// The step.
    pub step: String,
    /// The strongest lock on each table, in the server's own words.
    pub locks: BTreeMap<String, String>,
    /// From when it asked for the first of them until all were let go, in ms, in the try in which it got them.
    pub held_ms: f64,
}

/// A way back that was gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WayBack {
    /// From where.
    pub from: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// A budget that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Its name.
    pub budget: String,
    /// Where.
    pub phase: String,
    /// What was found.
    pub found: String,
    /// What may be.
    pub limit: String,
}

/// A second of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Half took no longer, in us.
    pub p50_us: u64,
    /// 99 of 100 took no longer, in us.
    pub p99_us: u64,
}

impl Rehearsal {
    /// One of which nothing is known yet.
    pub fn new(migration: String, plan: String, at: DateTime<Utc>, by: String) -> Self {
        Self {
            zdmig_rehearsal: FORMAT,
            migration,
            plan,
            at,
            by,
            server: String::new(),
            rows: BTreeMap::new(),
            rate: 0.0,
            connections: 0,
            workloads: Vec::new(),
            phases: Vec::new(),
            fill: None,
            pace: String::new(),
            ways_back: Vec::new(),
            steps: Vec::new(),
            bytes: (0, 0),
            budget: Budget::default(),
            broken: Vec::new(),
            seconds: Vec::new(),
        }
    }

    /// Keeps the latency of each second.
    pub fn plot(&mut self, seen: &[Seen]) {
        self.seconds = seconds(seen);
    }

    /// Keeps what a step locked; of a step that ran before, the time that it took longest.
    pub fn locked(&mut self, found: StepLocks) {
        match self.steps.iter_mut().find(|one| one.step == found.step) {
            None => self.steps.push(found),
            Some(known) if found.held_ms > known.held_ms => *known = found,
            Some(_) => {}
        }
    }

    /// Judges it by a budget.
    pub fn judge(&mut self, budget: Budget) {
        (self.budget, self.broken) = (budget, judge(&self.phases, &budget));
    }

    /// Whether no budget was broken.
    pub fn passed(&self) -> bool {
        self.broken.is_empty()
    }

    /// The largest p99 of a phase against that from before.
    pub fn worst(&self) -> f64 {
        self.phases.iter().filter_map(|phase| phase.p99_ratio).fold(0.0, f64::max)
    }

    /// The longest way back, in seconds.
    pub fn longest_way_back(&self) -> Option<f64> {
        self.ways_back.iter().map(|way| way.seconds).reduce(f64::max)
    }

    /// In a line: `rehearsed on 2026-11-29, p99 × 1.10, 0 of 4812 failed, back in 0.4 s`.
    pub fn words(&self) -> String {
        let (errors, requests) = self
            .phases
            .iter()
            .fold((0, 0), |(errors, all), one| (errors + one.errors, all + one.requests));
        let back = self.longest_way_back();
        let back = back.map(|seconds| format!(", back in {seconds:.1} s")).unwrap_or_default();
        let broken = if self.passed() { "" } else { ", beyond its budget" };
        format!(
            "rehearsed on {}, p99 × {:.2}, {errors} of {requests} failed{back}{broken}",
            self.at.format("%Y-%m-%d"),
            self.worst()
        )
    }
}
