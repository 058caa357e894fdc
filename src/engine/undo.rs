//! Backward: rollback and restore.

use super::{Engine, EngineError, Event};
use crate::dialect::SessionError;
use crate::journal::{EntryKind, Status};
use crate::plan::{Phase, Plan, Step, Transaction, Undo, UndoStage};

impl Engine<'_> {
    /// Takes a retire back, so that contract can be run again later.
    ///
    /// # Errors
    /// When something was purged or cannot be taken back, before anything is changed.
    pub async fn restore(&mut self, plan: &Plan) -> Result<(), EngineError> {
        self.take_back(plan, |step| step.phase == Phase::Contract).await
    }

    /// Takes everything back, as long as nothing was purged.
    ///
    /// # Errors
    /// When something was purged or cannot be taken back, before anything is changed.
    pub async fn rollback(&mut self, plan: &Plan) -> Result<(), EngineError> {
        for newer in self.journal.plans().filter(|one| one.migration > plan.migration) {
            if let Some(column) = newer.shares(plan) {
                return Err(EngineError::RestedOn {
                    migration: plan.migration.clone(),
                    newer: Box::new(newer.migration.clone()),
                    column: Box::new(column.clone()),
                });
            }
        }
        self.take_back(plan, |_| true).await?;
        self.commit(plan, &Self::whole(plan), &[], EntryKind::RolledBack).await?;
        Ok(())
    }

    async fn take_back(
        &mut self,
        plan: &Plan,
        which: impl Fn(&Step) -> bool,
    ) -> Result<(), EngineError> {
        let steps: Vec<_> = plan
            .steps
            .iter()
            .rev()
            .filter(|step| which(step) && self.journal.status(&step.id) != Status::Pending)
            .collect();
        let purged = plan
            .phase(Phase::Purge)
            .find(|step| matches!(self.journal.status(&step.id), Status::Done | Status::Running));
        if let Some(step) = purged {
            return Err(EngineError::Irreversible { step: step.id.clone(), purged: true });
        }
        let lasts =
            |step: &&&Step| step.lowered.undo == Undo::Impossible && !self.left_nothing(step);
        if let Some(step) = steps.iter().find(lasts) {
            return Err(EngineError::Irreversible { step: step.id.clone(), purged: false });
        }
        for step in steps {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            self.undo(plan, step).await?;
            (self.notice)(Event::StepUndone { step });
        }
        Ok(())
    }

    async fn undo(&mut self, plan: &Plan, step: &Step) -> Result<(), EngineError> {
        let forbidden = step.lowered.transaction == Transaction::Forbidden;
        let nothing_there = self.left_nothing(step);
        let sql = match &step.lowered.undo {
            Undo::Run(sql) => sql.as_slice(),
            Undo::Stages { stages, abandon } if !nothing_there => {
                return self.by_stages(plan, step, stages, abandon).await;
            }
            Undo::Stages { .. } | Undo::Nothing | Undo::Stays(_) | Undo::Impossible => &[],
        };
        if forbidden && !sql.is_empty() {
            self.retried(plan, step, &[], EntryKind::UndoStarted).await?;
            // An undo that was cut short may have left half of it, or all of it.
            self.clear(step).await?;
            if self.landed(step).await? {
                self.session
                    .execute(sql, &mut |_| {})
                    .await
                    .map_err(|source| EngineError::Undo { step: step.id.clone(), source })?;
            }
            self.retried(plan, step, &[], EntryKind::Undone).await?;
        } else {
            let sql = if nothing_there { &[] } else { sql };
            self.retried(plan, step, sql, EntryKind::Undone).await.map_err(
                |error| match error {
                    EngineError::Session(source @ SessionError::Failed { .. }) => {
                        EngineError::Undo { step: step.id.clone(), source }
                    }
                    other => other,
                },
            )?;
        }
        Ok(())
    }

    /// Whether a step failed that shares its transaction with the journal.
    fn left_nothing(&self, step: &Step) -> bool {
        self.journal.status(&step.id) == Status::Failed
            && step.lowered.transaction == Transaction::WithJournal
    }

    async fn by_stages(
        &mut self,
        plan: &Plan,
        step: &Step,
        stages: &[UndoStage],
        abandon: &UndoStage,
    ) -> Result<(), EngineError> {
        if self.journal.status(&step.id) == Status::Undoing {
            self.stage(plan, step, abandon, EntryKind::UndoStarted).await?;
        }
        for (at, stage) in stages.iter().enumerate() {
            let last = at + 1 == stages.len();
            let kind = if last { EntryKind::Undone } else { EntryKind::UndoStarted };
            let Err(error) = self.stage(plan, step, stage, kind).await else { continue };
            // The step is done as before, so that the way forward is open too. Where that
            // fails as well, the next run begins with it.
            if self.journal.status(&step.id) == Status::Undoing {
                let done = EntryKind::Finished { rows: 0 };
                let _ = self.stage(plan, step, abandon, done).await;
            }
            return Err(match error {
                EngineError::Session(source @ SessionError::Failed { .. }) => {
                    EngineError::Undo { step: step.id.clone(), source }
                }
                EngineError::Session(SessionError::LockTimeout { waited, blockers }) => {
                    EngineError::LockBudget { step: step.id.clone(), waited, blockers }
                }
                other => other,
            });
        }
        Ok(())
    }

    /// Runs a stage; what cannot share a transaction with the journal is begun, run, and then
    /// written down.
    async fn stage(
        &mut self,
        plan: &Plan,
        step: &Step,
        stage: &UndoStage,
        kind: EntryKind,
    ) -> Result<(), EngineError> {
        if stage.transaction != Transaction::Forbidden {
            return self.retried(plan, step, &stage.sql, kind).await;
        }
        self.retried(plan, step, &[], EntryKind::UndoStarted).await?;
        self.session.execute(&stage.sql, &mut |_| {}).await?;
        if kind != EntryKind::UndoStarted {
            self.retried(plan, step, &[], kind).await?;
        }
        Ok(())
    }
}
