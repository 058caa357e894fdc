use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::inventory::Source;

/// What an environment's gate demands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GatePolicy {
    /// The environment.
    pub env: String,
    /// Everything that uses the database.
    pub consumers: Vec<Consumer>,
    /// Roles that are let through by name.
    pub waivers: Vec<Waiver>,
    /// Functions that name a target in their text and are let through by name.
    pub functions: Vec<Waiver>,
    /// How long a sign of life is good for.
    pub heartbeat_ttl: Duration,
    /// How long after its last sign of life an instance may still be at work.
    pub drain: Duration,
    /// How long a brownout must have passed before anything goes, where there can be one.
    pub require_brownout: Option<Duration>,
    /// Whether nothing goes without a window on what ran that shows everything.
    pub require_window: bool,
    /// How long everything must have been filled before anything goes.
    pub min_age: Duration,
    /// How long after its end a deployment may be gone back to.
    pub rollback_window: Duration,
    /// How long such a window must be.
    pub min_observation: Duration,
}

/// Something that uses the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Consumer {
    /// The service's name.
    pub name: String,
    /// The roles it logs in as.
    pub roles: Vec<String>,
    /// Whether it may be that no version of it runs.
    pub idle: bool,
    /// Whether its sessions need not name their version, because it sends heartbeats.
    pub unnamed_sessions: bool,
    /// Publications and replication slots that it reads, as the gate names them.
    pub streams: Vec<String>,
    /// Whether what it ran stands in for its manifest.
    pub observed: bool,
    /// How often it runs, where it does not run all the time.
    pub period: Option<Duration>,
    /// Who is asked which versions of it run, beside the database.
    pub sources: Vec<Source>,
}

/// A role or a function that is let through by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiver {
    /// The role, or the function with its arguments; `*` for all functions.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Until when, that day included.
    pub expires: Option<NaiveDate>,
}

impl Waiver {
    /// Whether it has not run out.
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        self.expires.is_none_or(|last| now.date_naive() <= last)
    }
}
