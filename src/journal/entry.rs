use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::migration::Checksum;
use crate::plan::{Fingerprint, Plan, StepId};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The step, or `<migration>/plan` for what concerns the whole plan.
    pub step: StepId,
    /// The plan that was being run.
    pub plan: Fingerprint,
    /// When the database wrote it; never used to decide what was done.
    pub at: DateTime<Utc>,
    /// Who wrote it: `user@host zdmig/version`.
    pub by: String,
    /// What happened.
    pub kind: EntryKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EntryKind {
    /// A plan was taken up: from now on this migration is run by it and no other.
    Planned {
        /// The whole plan.
        plan: Box<Plan>,
    },
    /// A step that cannot share a transaction with the log was begun.
    Started,
    /// A step was done.
    Finished {
        /// Rows it changed.
        rows: u64,
    },
    /// A step failed; it can be tried again.
    Failed {
        /// What the server said.
        message: String,
    },
    /// A step's undo that cannot share a transaction with the log was begun.
    UndoStarted,
    /// A step was taken back.
    Undone,
    /// The gate let a phase begin.
    Permitted {
        /// The fingerprint of the evidence.
        evidence: Fingerprint,
        /// What somebody answered for, where it did not pass by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overruled: Option<Box<Overruled>>,
    },
    /// What contract would take away was away for a while.
    BrownOut {
        /// For how long.
        seconds: u64,
        /// Whose statements failed by it, which ended it.
        refused: Vec<String>,
    },
    /// The whole plan was taken back, or a migration that was adopted is not held for run any
    /// longer: it is pending again.
    RolledBack,
    /// A migration was run before zdmig came, by somebody else.
    Adopted {
        /// Of the file as it was then.
        checksum: Checksum,
        /// Whose word that is: another runner's table, or a person's.
        from: String,
    },
}

/// What somebody answered for where the gate did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overruled {
    /// The verdict.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// Where it was decided.
    pub ticket: String,
    /// What spoke against it: each reason's code and text.
    pub reasons: Vec<String>,
}

impl EntryKind {
    /// The word it is stored under.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Planned { .. } => "planned",
            Self::Started => "started",
            Self::Finished { .. } => "finished",
            Self::Failed { .. } => "failed",
            Self::UndoStarted => "undo-started",
            Self::Undone => "undone",
            Self::Permitted { .. } => "permitted",
            Self::BrownOut { .. } => "brown-out",
            Self::RolledBack => "rolled-back",
            Self::Adopted { .. } => "adopted",
        }
    }
}

/// How far a fill has come. It is kept in rows that move, not in lines of the log: a line per
/// chunk would make the log grow with the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Rows changed so far.
    pub rows: u64,
    /// Whether the end of the table was reached.
    pub complete: bool,
    /// Rows that failed and were left out.
    pub failed: u64,
    /// Rows that were looked at, where it is a proof.
    pub seen: u64,
}
