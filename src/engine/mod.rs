//! Floor 7: runs plans. The only floor that changes a schema.

mod adopt;
mod brownout;
mod event;
mod fill;
mod recover;
mod run;
mod undo;

use std::time::{Duration, Instant};

use chrono::Utc;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::backfill::{FillError, LimitsSource, Pace};
use crate::dialect::{Blocker, FailedRow, Session, SessionError, Work};
use crate::journal::{Entry, EntryKind, IllegalEntry, Journal};
use crate::migration::MigrationId;
use crate::plan::{Fingerprint, Phase, Plan, StepId};
use crate::sql::{ColumnRef, Sql, TableName};

pub use adopt::Adoption;
pub use brownout::{Brownout, BrownoutEnd, BrownoutOrder, dimmable};
pub use event::Event;
pub use fill::help;

/// Runs plans against one database, as the only zdmig there.
pub struct Engine<'a> {
    session: &'a mut dyn Session,
    journal: Journal,
    options: &'a EngineOptions,
    cancel: &'a CancellationToken,
    notice: &'a mut (dyn FnMut(Event<'_>) + Send),
}

/// How an engine behaves.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Who we are, for the journal: `user@host zdmig/version`.
    pub owner: String,
    /// How long to go on trying for one lock, all tries together.
    pub lock_wait_max: Duration,
    /// What a fill may cost.
    pub pace: Pace,
    /// How many workers fill at the same time.
    pub workers: usize,
    /// Whether a fill must let other writers in between two chunks.
    pub step_aside: bool,
    /// What of the database holds a fill back.
    pub limits: LimitsSource,
    /// So many rows of a fill may fail before it stops.
    pub failed_max: u64,
    /// When to stop: no step and no chunk begins after that.
    pub deadline: Option<Instant>,
}

/// Why an engine stopped.
#[derive(Debug, Error)]
pub enum EngineError {
    /// It was asked to, at a safe point.
    #[error("interrupted at a safe point")]
    Interrupted,
    /// The time that it was given is over.
    #[error("the time is up, and it stopped at a safe point")]
    TimeUp,
    /// The schema is not what the plan expects.
    #[error("{message}")]
    Drift {
        /// What differs.
        message: String,
    },
    /// A phase was asked for before the one it rests on was done.
    #[error("`{migration}` cannot {phase} yet: {before} is not done")]
    TooEarly {
        /// The migration.
        migration: MigrationId,
        /// What was asked for.
        phase: Phase,
        /// What must be done first.
        before: Phase,
    },
    /// Something cannot be taken back.
    #[error("`{step}` cannot be taken back{}", if *purged { ": its column is dropped for good" } else { ": zdmig does not know how, because the author wrote it" })]
    Irreversible {
        /// The step.
        step: StepId,
        /// Whether it was a purge.
        purged: bool,
    },
    /// A rollback was begun and is not finished.
    #[error("`{migration}` is being rolled back")]
    Undoing {
        /// The migration.
        migration: MigrationId,
    },
    /// A newer migration rests on what would be taken back.
    #[error("`{newer}` rests on `{column}` of `{migration}`")]
    RestedOn {
        /// What would be taken back.
        migration: MigrationId,
        /// The migration that rests on it.
        newer: Box<MigrationId>,
        /// On this.
        column: Box<ColumnRef>,
    },
    /// A permit was made for another plan.
    #[error("the permit is for another plan")]
    WrongPermit,
    /// The budget for a lock is spent.
    #[error("no lock for `{step}` within {} s{}", waited.as_secs(), listed(blockers))]
    LockBudget {
        /// The step.
        step: StepId,
        /// How long it was tried.
        waited: Duration,
        /// Who was in the way at last.
        blockers: Vec<Blocker>,
    },
    /// Rows that are there break what the plan rests on.
    #[error("rows of `{table}` do not fit `{about}`, so nothing was changed: {found}")]
    Premise {
        /// The table.
        table: Box<TableName>,
        /// What needs it.
        about: String,
        /// What was found.
        found: String,
    },
    /// A fill left rows out that fail.
    #[error("`{step}` left {} out that fail{}{}", rows_said(*failed), if *failed > *most { ", and stopped" } else { "" }, rows_listed(rows))]
    FailedRows {
        /// The step.
        step: StepId,
        /// How many.
        failed: u64,
        /// How many may be.
        most: u64,
        /// Some of them.
        rows: Vec<FailedRow>,
    },
    /// A proof failed.
    #[error("`{step}` found {found} that break the rule")]
    Unproved {
        /// The step.
        step: StepId,
        /// How many.
        found: String,
    },
    /// A step failed.
    #[error("`{step}` failed: {source}")]
    Step {
        /// The step.
        step: StepId,
        /// Why.
        source: SessionError,
    },
    /// A step could not be taken back.
    #[error("`{step}` cannot be taken back yet: {source}")]
    Undo {
        /// The step.
        step: StepId,
        /// Why.
        source: SessionError,
    },
    /// The database, outside a step.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The journal makes no sense.
    #[error(transparent)]
    Journal(#[from] IllegalEntry),
}

fn rows_said(count: u64) -> String {
    if count == 1 { "1 row".into() } else { format!("{count} rows") }
}

fn rows_listed(rows: &[FailedRow]) -> String {
    let line = |row: &FailedRow| {
        let relation = if row.relation.is_empty() { "" } else { " of " };
        format!("\n  ({}){relation}{}: {}", row.key.join(", "), row.relation, row.reason)
    };
    rows.iter().map(line).collect()
}

fn listed(blockers: &[Blocker]) -> String {
    let names: Vec<_> = blockers.iter().map(|one| format!("\n  held by {one}")).collect();
    names.concat()
}

impl<'a> Engine<'a> {
    /// An engine on a session that is the exclusive one already; reads what was done.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn started(
        session: &'a mut dyn Session,
        options: &'a EngineOptions,
        cancel: &'a CancellationToken,
        notice: &'a mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Self, EngineError> {
        let journal = session.journal().await?;
        Ok(Self { session, journal, options, cancel, notice })
    }

    /// An engine that knows already what was done, from the one before it on this session.
    pub fn resumed(
        session: &'a mut dyn Session,
        journal: Journal,
        options: &'a EngineOptions,
        cancel: &'a CancellationToken,
        notice: &'a mut (dyn FnMut(Event<'_>) + Send),
    ) -> Self {
        Self { session, journal, options, cancel, notice }
    }

    /// What was done, for the next engine.
    pub fn into_journal(self) -> Journal {
        self.journal
    }

    /// What was done, as far as this engine knows.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Statements and their journal entry, in one transaction and in our own copy.
    async fn commit(
        &mut self,
        plan: &Plan,
        step: &StepId,
        sql: &[Sql],
        kind: EntryKind,
    ) -> Result<(), EngineError> {
        self.write(&plan.fingerprint, step, sql, kind).await
    }

    /// The same of what has no plan.
    async fn write(
        &mut self,
        plan: &Fingerprint,
        step: &StepId,
        sql: &[Sql],
        kind: EntryKind,
    ) -> Result<(), EngineError> {
        let entry = Entry {
            step: step.clone(),
            plan: plan.clone(),
            at: Utc::now(),
            by: self.options.owner.clone(),
            kind,
        };
        // What cannot follow must not be written: the log would be unreadable from then on.
        match &entry.kind {
            EntryKind::Planned { .. }
            | EntryKind::RolledBack
            | EntryKind::Adopted { .. }
            | EntryKind::Permitted { .. }
            | EntryKind::BrownOut { .. } => {}
            kind => {
                self.journal.status(step).next(kind)?;
            }
        }
        tracing::debug!(%step, entry = entry.kind.word(), statements = sql.len(), "commit");
        self.session.commit(&Work { sql, entry: &entry }).await?;
        self.journal.add(entry)?;
        Ok(())
    }

    /// The step under which entries about a whole plan are kept.
    fn whole(plan: &Plan) -> StepId {
        StepId::stored(format!("{}/plan", plan.migration))
    }
}

impl From<FillError> for EngineError {
    fn from(error: FillError) -> Self {
        match error {
            FillError::Interrupted => Self::Interrupted,
            FillError::TimeUp => Self::TimeUp,
            FillError::Session(source) => Self::Session(source),
        }
    }
}
