//! What the verbs that change a schema share.

use std::time::Duration;

use serde::Serialize;

use super::context::{Context, Ears};
use super::failure::Failure;
use super::project::state;
use crate::engine::Event;
use crate::journal::Journal;
use crate::plan::{Phase, Plan};
use crate::report::{Format, and_rows, counted};

/// What `--wait` says.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// How long to wait for another zdmig that is at work: one that has just ended may still seem
    /// to be
    #[arg(long, value_name = "TIME", default_value = "1s")]
    wait: String,
}

impl WaitArgs {
    pub(super) fn time(&self) -> Result<Duration, Failure> {
        time("--wait", &self.wait)
    }
}

/// A duration from a flag.
pub(super) fn time(flag: &str, text: &str) -> Result<Duration, Failure> {
    humantime::parse_duration(text)
        .map_err(|error| Failure::usage(format!("`{flag} {text}`: {error}; write it like `60s`")))
}

#[derive(Serialize)]
struct PhaseReport<'a> {
    zdmig_phase: u32,
    migration: String,
    plan: &'a str,
    phase: &'a str,
    state: &'a str,
    steps: usize,
    rows: u64,
    next: &'a str,
}

/// Hears an engine's events, and counts what was done.
#[derive(Default)]
pub(super) struct Tally {
    steps: usize,
    rows: u64,
}

impl Tally {
    /// Tells an event and counts it.
    pub(super) fn hear(&mut self, event: &Event<'_>, ears: &mut Ears<'_>) {
        self.count(event);
        ears.hear(event);
    }

    /// How many rows were changed.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts what was done.
    pub(super) fn count(&mut self, event: &Event<'_>) {
        match event {
            Event::StepFinished { rows, .. } => {
                self.steps += 1;
                self.rows += rows;
            }
            Event::StepUndone { .. } => self.steps += 1,
            Event::PhaseStarted { .. }
            | Event::PhaseFinished { .. }
            | Event::StepStarted { .. }
            | Event::Premised { .. }
            | Event::StepSkipped { .. }
            | Event::LockWaiting { .. }
            | Event::Looked { .. }
            | Event::Doing { .. }
            | Event::ChunkDone { .. }
            | Event::Measured { .. }
            | Event::Turned { .. }
            | Event::Eased { .. }
            | Event::Noticed { .. }
            | Event::Proved { .. }
            | Event::Repairing { .. } => {}
        }
    }

    /// The product of a phase: what was done, and what comes next.
    pub(super) fn report(
        self,
        plan: &Plan,
        done: &str,
        journal: &Journal,
        context: &mut Context<'_>,
    ) {
        let (state, next) = state(&plan.migration, journal);
        if context.reporter.format() == Format::Json {
            context.reporter.json(&PhaseReport {
                zdmig_phase: 1,
                migration: plan.migration.to_string(),
                plan: plan.fingerprint.as_str(),
                phase: done,
                state,
                steps: self.steps,
                rows: self.rows,
                next: &next,
            });
            return;
        }
        let mut text = format!(
            "{}: {done}, {}{}; now {state}\n",
            plan.migration,
            counted(self.steps as u64, "step"),
            and_rows(self.rows)
        );
        if !next.is_empty() {
            text.push_str(&format!("next: {next}\n"));
        }
        context.reporter.product(&text);
    }
}

/// The verb's word in the past, for a person.
pub(super) fn past(phase: Phase) -> &'static str {
    match phase {
        Phase::Expand => "expanded",
        Phase::Backfill => "backfilled",
        Phase::Contract => "contracted",
        Phase::Purge => "purged",
    }
}
