//! Is the world still as the plan and the journal say?

use super::{Engine, EngineError};
use crate::journal::Status;
use crate::plan::{Action, Expect, Phase, Plan, Step};
use crate::planner::table_fingerprint;
use crate::sql::mentions;

impl Engine<'_> {
    /// Refuses a plan that was made for tables that look different now.
    pub(super) async fn not_stale(&mut self, plan: &Plan) -> Result<(), EngineError> {
        let Some(expected) = plan.expects.get(&Phase::Expand) else { return Ok(()) };
        let catalog = self.session.catalog().await?;
        let touched = |name: &&crate::catalog::Table| {
            plan.touches.iter().any(|column| column.table == name.name)
        };
        if table_fingerprint(catalog.tables.values().filter(touched)) == *expected {
            return Ok(());
        }
        Err(EngineError::Drift {
            message: format!(
                "the plan for `{}` is stale: the tables it touches were changed since it was made",
                plan.migration
            ),
        })
    }

    /// Before a phase begins: what earlier phases made must still be there.
    pub(super) async fn no_drift(&mut self, plan: &Plan, phase: Phase) -> Result<(), EngineError> {
        let begun = |step: &Step| self.journal.status(&step.id) != Status::Pending;
        if plan.phase(phase).any(begun) {
            return Ok(());
        }
        let earlier = plan.steps.iter().filter(|step| {
            step.phase < phase && lasting(step, phase) && !removed_since(plan, step, phase)
        });
        for step in earlier.collect::<Vec<_>>() {
            if self.journal.status(&step.id) == Status::Done && !self.landed(step).await? {
                return Err(EngineError::Drift {
                    message: format!(
                        "`{}` was done and is not there any more: somebody changed the schema \
                         by hand",
                        step.id
                    ),
                });
            }
        }
        Ok(())
    }
}

/// Whether a step's effect must still be seen when a later phase begins. Checks that a
/// later step drops, and triggers that contract removes, are not asked about in purge.
fn lasting(step: &Step, phase: Phase) -> bool {
    if step.lowered.landed.expect == Expect::Journal {
        return false;
    }
    match &step.action {
        Action::AddColumn(_) | Action::BuildIndex(_) | Action::AttachConstraint(_) => true,
        Action::InstallSync(_) => phase < Phase::Purge,
        _ => false,
    }
}

/// Whether a step that ran after it, before this phase, took away or renamed what it made.
fn removed_since(plan: &Plan, step: &Step, phase: Phase) -> bool {
    let (table, name) = match &step.action {
        Action::AddColumn(one) => (&one.table, &one.column.name),
        Action::AddCounted(one) => (&one.add.table, &one.add.column.name),
        Action::BuildIndex(one) => (&one.table, &one.name),
        Action::AttachConstraint(one) => (&one.table, &one.name),
        _ => return false,
    };
    let moves = |later: &&Step| match &later.action {
        Action::RenameTable(one) | Action::DropAlias(one) => one.from == *table,
        Action::RetireTables(one) => one.tables.iter().any(|(name, _)| name == table),
        _ => false,
    };
    let changes = |later: &&Step| {
        matches!(
            later.action,
            Action::Verbatim(_)
                | Action::DropConstraint(_)
                | Action::DropIndex(_)
                | Action::JoinIndexes(_)
                | Action::AttachPartition(_)
                | Action::Retire(_)
                | Action::DropColumn(_)
                | Action::AliasColumn(_)
                | Action::AttachIndex(_)
                | Action::Swap(_)
        ) && later.lowered.sql.iter().any(|sql| mentions(sql.as_str(), name.as_str()))
    };
    let after = plan.steps.iter().skip_while(|one| one.id != step.id).skip(1);
    after.filter(|later| later.phase < phase).any(|later| moves(&later) || changes(&later))
}
