use std::time::Duration;

use crate::dialect::{Blocker, Doing, Measured};
use crate::plan::{Phase, Plan, Premise, Step};

/// What happens while an engine runs. It never prints; who listens may.
#[derive(Debug)]
pub enum Event<'a> {
    /// A phase is begun, or gone on with.
    PhaseStarted {
        /// Of this plan.
        plan: &'a Plan,
        /// The phase.
        phase: Phase,
    },
    /// All steps of a phase are done.
    PhaseFinished {
        /// Of this plan.
        plan: &'a Plan,
        /// The phase.
        phase: Phase,
        /// Rows that its steps changed in this run.
        rows: u64,
        /// How long this run of it took.
        took: Duration,
    },
    /// A step is begun, or gone on with.
    StepStarted {
        /// The step.
        step: &'a Step,
        /// Whether an earlier run had begun it.
        resumed: bool,
    },
    /// Rows are as the plan needs them.
    Premised {
        /// What was asked.
        premise: &'a Premise,
        /// How long it took.
        took: Duration,
    },
    /// A step was done before.
    StepSkipped {
        /// The step.
        step: &'a Step,
    },
    /// A lock was not to be had; there will be another try.
    LockWaiting {
        /// The step.
        step: &'a Step,
        /// How long it has been tried.
        waited: Duration,
        /// Who is in the way.
        blockers: &'a [Blocker],
    },
    /// A statement that takes long is at something else, or further.
    Doing {
        /// The step.
        step: &'a Step,
        /// At what, and how far.
        doing: &'a Doing,
    },
    /// A chunk is done.
    ChunkDone {
        /// The step.
        step: &'a Step,
        /// Rows changed so far, by all runs.
        rows: u64,
        /// Rows walked over so far, as far as that is known of earlier runs.
        walked: u64,
        /// Rows that this chunk changed.
        changed: u64,
        /// Rows that failed in it and were left out.
        failed: u64,
        /// How long its statement took; nothing where it only looked.
        took: Duration,
    },
    /// A fill walks in another way than the plan says.
    Turned {
        /// The step.
        step: &'a Step,
        /// Because of what.
        why: &'a str,
    },
    /// Something holds a fill back, or does so no more.
    Eased {
        /// The step.
        step: &'a Step,
        /// The share of its pace that it may use; 0 holds it.
        ease: f64,
        /// By what; nothing any more where it is `None`.
        by: Option<&'a str>,
    },
    /// Somebody has looked at the database: what a fill may do now.
    Looked {
        /// The step.
        step: &'a Step,
        /// The share of its pace that it may use.
        ease: f64,
        /// What holds it back.
        by: Option<&'a str>,
    },
    /// Something is not as it should be, and does not stop a step.
    Noticed {
        /// The step.
        step: &'a Step,
        /// What.
        what: &'a str,
    },
    /// Every row was looked at, and none breaks the rule.
    Proved {
        /// The step.
        step: &'a Step,
        /// How many rows there were.
        seen: u64,
    },
    /// Rows were found that a fill missed, and were mended; the table is looked at again.
    Repairing {
        /// The step.
        step: &'a Step,
        /// How many.
        mended: u64,
    },
    /// A step is done.
    StepFinished {
        /// The step.
        step: &'a Step,
        /// Rows it changed.
        rows: u64,
        /// How long it took, without the waiting for locks.
        took: Duration,
    },
    /// What a step locked and did, where that is measured.
    Measured {
        /// The step.
        step: &'a Step,
        /// What was measured.
        measured: &'a Measured,
    },
    /// A step was taken back.
    StepUndone {
        /// The step.
        step: &'a Step,
    },
}
