//! Forward: the step loop.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};

use super::fill::{job, proof, telling};
use super::{Engine, EngineError, Event};
use crate::backfill::fill;
use crate::dialect::{Doing, FillOrder, Filled, SessionError};
use crate::gate::Permit;
use crate::journal::{EntryKind, Progress, Status};
use crate::plan::{Action, Phase, Plan, Premise, Step, StepId, Transaction, Verify};

/// The class of errors that a value causes, in the standard's codes.
const DATA_EXCEPTION: &str = "22";

/// So many of the rows that fail are named.
const FAILED_SHOWN: u32 = 3;

/// How long a paused backfill waits before it asks whether it may go on.
const PAUSED: Duration = Duration::from_millis(300);

/// Statistics are tried to be gathered so many times.
const GATHERS: u32 = 5;

/// A proof that found something to mend is begun again so many times.
const REPAIRS_MAX: u32 = 3;

impl Engine<'_> {
    /// Takes a plan up as it is, without a look at the tables it was made for: they are on
    /// another database, of which this one is a copy.
    ///
    /// # Errors
    /// As [`Engine::expand`].
    pub async fn take_up(&mut self, plan: &Plan) -> Result<(), EngineError> {
        let planned = EntryKind::Planned { plan: Box::new(plan.clone()) };
        self.commit(plan, &Self::whole(plan), &[], planned).await
    }

    /// Runs the expand phase, taking the plan up if this is the first time.
    ///
    /// # Errors
    /// See [`EngineError`]; what was done stays done, and the same call goes on from there.
    pub async fn expand(&mut self, plan: &Plan) -> Result<(), EngineError> {
        if self.journal.plan(&plan.migration).is_none() {
            self.not_stale(plan).await?;
            self.premises(plan).await?;
            let planned = EntryKind::Planned { plan: Box::new(plan.clone()) };
            self.commit(plan, &Self::whole(plan), &[], planned).await?;
        }
        self.phase(plan, Phase::Expand).await
    }

    /// Asks the rows what the plan rests on, before anything is done.
    async fn premises(&mut self, plan: &Plan) -> Result<(), EngineError> {
        // Rows that another plan is at work on may be others by the time it matters.
        let busy = |premise: &&Premise| {
            let of = |other: &&Plan| {
                let writes = other.steps.iter().any(|step| {
                    matches!(step.action, Action::Backfill(_) | Action::Verbatim(_))
                        && self.journal.status(&step.id) != Status::Done
                });
                let touches =
                    other.touches.iter().any(|column| column.table == premise.verify.table);
                other.migration != plan.migration && (touches || writes)
            };
            let open = |other: &&Plan| self.journal.in_flight(&other.migration);
            self.journal.plans().filter(open).any(|other| of(&other))
        };
        let asked: Vec<&Premise> = plan.premises.iter().filter(|one| !busy(one)).collect();
        for premise in asked {
            let begun = Instant::now();
            let found = match self.session.suppose(&premise.after, &premise.check).await {
                Ok(answer) if answer.yes => {
                    (self.notice)(Event::Premised { premise, took: begun.elapsed() });
                    continue;
                }
                Ok(answer) => answer.detail.unwrap_or_default(),
                Err(SessionError::Failed { message, code: Some(code), .. })
                    if code.starts_with(DATA_EXCEPTION) =>
                {
                    message
                }
                // What cannot be asked yet is found out in its turn.
                Err(SessionError::Failed { .. } | SessionError::Denied { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            return Err(EngineError::Premise {
                table: Box::new(premise.verify.table.clone()),
                about: premise.about.clone(),
                found,
            });
        }
        Ok(())
    }

    /// Runs the backfill phase.
    ///
    /// # Errors
    /// As [`Engine::expand`].
    pub async fn backfill(&mut self, plan: &Plan) -> Result<(), EngineError> {
        self.after(plan, Phase::Backfill)?;
        self.phase(plan, Phase::Backfill).await
    }

    /// Runs the reversible half of contract.
    ///
    /// # Errors
    /// As [`Engine::expand`].
    pub async fn contract(&mut self, plan: &Plan, permit: Permit) -> Result<(), EngineError> {
        self.permitted(plan, Phase::Contract, permit).await
    }

    /// Runs the irreversible half of contract.
    ///
    /// # Errors
    /// As [`Engine::expand`].
    pub async fn purge(&mut self, plan: &Plan, permit: Permit) -> Result<(), EngineError> {
        self.permitted(plan, Phase::Purge, permit).await
    }

    async fn permitted(
        &mut self,
        plan: &Plan,
        phase: Phase,
        permit: Permit,
    ) -> Result<(), EngineError> {
        if *permit.plan() != plan.fingerprint {
            return Err(EngineError::WrongPermit);
        }
        self.after(plan, phase)?;
        let evidence = permit.evidence().clone();
        let overruled = permit.overruled().cloned().map(Box::new);
        let step = StepId::stored(format!("{}/{phase}", plan.migration));
        self.commit(plan, &step, &[], EntryKind::Permitted { evidence, overruled }).await?;
        self.phase(plan, phase).await
    }

    /// Refuses a phase before those that it rests on are done.
    pub(super) fn after(&self, plan: &Plan, phase: Phase) -> Result<(), EngineError> {
        let migration = plan.migration.clone();
        let earlier = Phase::ALL.into_iter().filter(|one| *one < phase);
        for before in earlier {
            let begun = self.journal.progress(&migration) != Progress::Pending;
            if !begun || !self.journal.phase_done(plan, before) {
                return Err(EngineError::TooEarly { migration, phase, before });
            }
        }
        Ok(())
    }

    async fn phase(&mut self, plan: &Plan, phase: Phase) -> Result<(), EngineError> {
        if plan.steps.iter().any(|step| self.journal.status(&step.id) == Status::Undoing) {
            return Err(EngineError::Undoing { migration: plan.migration.clone() });
        }
        let open = plan.phase(phase).any(|step| self.journal.status(&step.id) != Status::Done);
        let (began, mut changed) = (Instant::now(), 0);
        if open {
            (self.notice)(Event::PhaseStarted { plan, phase });
        }
        self.no_drift(plan, phase).await?;
        for step in plan.phase(phase) {
            let status = self.journal.status(&step.id);
            if status == Status::Done {
                (self.notice)(Event::StepSkipped { step });
                continue;
            }
            self.may_begin(step, phase).await?;
            (self.notice)(Event::StepStarted { step, resumed: status != Status::Pending });
            tracing::info!(step = %step.id, ?status, "begin");
            // What a way back locked before is none of this step's.
            drop(self.session.measured());
            let begun = Instant::now();
            match self.step(plan, step, status).await {
                Ok(rows) => {
                    let took = begun.elapsed();
                    tracing::info!(step = %step.id, rows, ?took, "end");
                    changed += rows;
                    (self.notice)(Event::StepFinished { step, rows, took });
                    if let Some(measured) = self.session.measured() {
                        (self.notice)(Event::Measured { step, measured: &measured });
                    }
                }
                Err(error) => return Err(self.failed(plan, step, error).await),
            }
        }
        if open {
            let (rows, took) = (changed, began.elapsed());
            (self.notice)(Event::PhaseFinished { plan, phase, rows, took });
        }
        Ok(())
    }

    /// Waits with a step for as long as somebody wants the backfill to pause.
    async fn may_begin(&mut self, step: &Step, phase: Phase) -> Result<(), EngineError> {
        let mut told = false;
        loop {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            if self.options.deadline.is_some_and(|at| Instant::now() >= at) {
                return Err(EngineError::TimeUp);
            }
            if phase != Phase::Backfill {
                return Ok(());
            }
            let steering = self.session.steering(step.id.migration_prefix()).await?;
            let Some(who) = steering.paused_by else {
                if told {
                    (self.notice)(Event::Eased { step, ease: 1.0, by: None });
                }
                return Ok(());
            };
            if !std::mem::replace(&mut told, true) {
                let by = format!("paused by {who}");
                (self.notice)(Event::Eased { step, ease: 0.0, by: Some(&by) });
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSED) => {}
                () = self.cancel.cancelled() => {}
            }
        }
    }

    /// Runs one step to its end and writes it down.
    async fn step(&mut self, plan: &Plan, step: &Step, status: Status) -> Result<u64, EngineError> {
        match (&step.action, step.lowered.transaction) {
            (Action::Backfill(rows), _) => {
                let order = FillOrder { step: step.id.clone(), fill: rows.clone(), prove: None };
                let changed = self.fill_rows(step, order, true).await?.rows;
                let done = EntryKind::Finished { rows: changed };
                self.commit(plan, &step.id, &[], done).await?;
                Ok(changed)
            }
            (Action::Verify(verify), _) => self.verify(plan, step, verify).await,
            (Action::Analyze(_), _) => self.gather(plan, step).await,
            (_, Transaction::Forbidden) => {
                let landed = self.landed(step).await?;
                if landed && status == Status::Pending {
                    let message = format!(
                        "what `{}` would make is there already, and zdmig did not make it",
                        step.id
                    );
                    return Err(EngineError::Drift { message });
                }
                if !landed {
                    self.clear(step).await?;
                    self.retried(plan, step, &[], EntryKind::Started).await?;
                    self.execute_outside(step).await?;
                }
                self.retried(plan, step, &[], EntryKind::Finished { rows: 0 }).await?;
                Ok(0)
            }
            (_, Transaction::WithJournal | Transaction::PerChunk) => {
                let done = EntryKind::Finished { rows: 0 };
                self.retried(plan, step, &step.lowered.sql, done).await?;
                Ok(0)
            }
        }
    }

    /// Gathers statistics, if that can be done soon: whoever is in the way for long is most often at
    /// work on the same, and nothing that comes after it needs them.
    async fn gather(&mut self, plan: &Plan, step: &Step) -> Result<u64, EngineError> {
        let done = EntryKind::Finished { rows: 0 };
        for _ in 0..GATHERS {
            match self.commit(plan, &step.id, &step.lowered.sql, done.clone()).await {
                Err(EngineError::Session(SessionError::LockTimeout { .. })) => {}
                other => return other.map(|()| 0),
            }
            let cancel = self.cancel;
            tokio::select! {
                () = tokio::time::sleep(PAUSED) => {}
                () = cancel.cancelled() => return Err(EngineError::Interrupted),
            }
        }
        let sql: Vec<_> = step.lowered.sql.iter().map(ToString::to_string).collect();
        let what = format!(
            "somebody is at work on the table, so its statistics are left to them, or to you: {}",
            sql.join("; ")
        );
        (self.notice)(Event::Noticed { step, what: &what });
        self.retried(plan, step, &[], done).await?;
        Ok(0)
    }

    /// A statement that cannot share a transaction with the journal, and the look whether
    /// it did what it should: some report success and leave an invalid object behind.
    async fn execute_outside(&mut self, step: &Step) -> Result<(), EngineError> {
        let run = {
            let cancelled = self.cancel.cancelled();
            let notice = &mut *self.notice;
            let mut told = |doing: Doing| notice(Event::Doing { step, doing: &doing });
            let run = self.session.execute(&step.lowered.sql, &mut told);
            tokio::select! {
                outcome = run => outcome,
                // The server notices that we are gone and gives up; the next run clears up.
                () = cancelled => return Err(EngineError::Interrupted),
            }
        };
        if let Err(error) = run {
            // What is left of it costs every write until it is gone.
            let _ = self.clear(step).await;
            return Err(error.into());
        }
        if self.landed(step).await? {
            return Ok(());
        }
        let message = "the statement ended without an error, and its effect is not there".into();
        let source = SessionError::Failed { message, code: None, statement: None };
        Err(EngineError::Step { step: step.id.clone(), source })
    }

    /// Clears away what an interrupted run left, if anything.
    pub(super) async fn clear(&mut self, step: &Step) -> Result<(), EngineError> {
        if let Some(clear) = &step.lowered.clear
            && self.session.check(&clear.when).await?.yes
        {
            self.session.execute(&clear.sql, &mut |_| {}).await?;
        }
        Ok(())
    }

    pub(super) async fn landed(&mut self, step: &Step) -> Result<bool, EngineError> {
        Ok(self.session.check(&step.lowered.landed).await?.yes)
    }

    /// Commits, and tries again while a lock is not to be had: nothing is held between two
    /// tries, so nobody waits for us meanwhile.
    pub(super) async fn retried(
        &mut self,
        plan: &Plan,
        step: &Step,
        sql: &[crate::sql::Sql],
        kind: EntryKind,
    ) -> Result<(), EngineError> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(10))
            .without_max_times()
            .with_jitter()
            .build();
        let begun = Instant::now();
        loop {
            let blockers = match self.commit(plan, &step.id, sql, kind.clone()).await {
                Err(EngineError::Session(SessionError::LockTimeout { blockers, .. })) => blockers,
                other => return other,
            };
            let waited = begun.elapsed();
            let left = self.options.lock_wait_max.saturating_sub(waited);
            let pause = pauses.next().unwrap_or_default().min(left);
            if left.is_zero() {
                return Err(EngineError::LockBudget { step: step.id.clone(), waited, blockers });
            }
            (self.notice)(Event::LockWaiting { step, waited, blockers: &blockers });
            let cancel = self.cancel;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return Err(EngineError::Interrupted),
            }
        }
    }

    /// Fills, from where an earlier run left off or from the beginning.
    async fn fill_rows(
        &mut self,
        step: &Step,
        order: FillOrder,
        resume: bool,
    ) -> Result<Filled, EngineError> {
        let job = job(order, !resume, self.options, self.cancel);
        let mut hear = telling(step, &mut *self.notice);
        let filled = fill(self.session, &job, &mut hear).await?;
        drop(hear);
        if filled.failed > 0 {
            return Err(EngineError::FailedRows {
                step: step.id.clone(),
                failed: filled.failed,
                most: self.options.failed_max,
                rows: self.session.failed_rows(&step.id, FAILED_SHOWN).await?,
            });
        }
        Ok(filled)
    }

    /// Proves a rule. Where a fill can mend what breaks it, the table is walked in chunks as the
    /// fill walks it: what is found is mended at once, and then the table is walked again, until
    /// there is nothing to find.
    async fn verify(
        &mut self,
        plan: &Plan,
        step: &Step,
        verify: &Verify,
    ) -> Result<u64, EngineError> {
        let Some(order) = proof(step) else {
            let answer = self.session.check(&step.lowered.landed).await?;
            if answer.yes {
                self.retried(plan, step, &[], EntryKind::Finished { rows: 0 }).await?;
                return Ok(0);
            }
            let found = answer.detail.unwrap_or_default();
            return Err(EngineError::Unproved { step: step.id.clone(), found });
        };
        let (mut mended, mut last) = (0, 0);
        for round in 0..=REPAIRS_MAX {
            let proved = self.fill_rows(step, order.clone(), round == 0).await?;
            (mended, last) = (mended + proved.rows, proved.rows);
            if proved.rows == 0 {
                (self.notice)(Event::Proved { step, seen: proved.seen });
                let done = EntryKind::Finished { rows: mended };
                self.retried(plan, step, &[], done).await?;
                return Ok(mended);
            }
            (self.notice)(Event::Repairing { step, mended: proved.rows });
        }
        let found = format!("{last} rows of {} again and again", verify.table);
        Err(EngineError::Unproved { step: step.id.clone(), found })
    }

    /// Writes a failure down, if that is still possible, and names the step.
    async fn failed(&mut self, plan: &Plan, step: &Step, error: EngineError) -> EngineError {
        let named = match error {
            EngineError::Session(
                source @ (SessionError::Failed { .. } | SessionError::Denied { .. }),
            ) => EngineError::Step { step: step.id.clone(), source },
            EngineError::Session(SessionError::LockTimeout { waited, blockers }) => {
                EngineError::LockBudget { step: step.id.clone(), waited, blockers }
            }
            other => other,
        };
        if let EngineError::Step { .. }
        | EngineError::Unproved { .. }
        | EngineError::FailedRows { .. } = &named
        {
            let message = named.to_string();
            let _ = self.commit(plan, &step.id, &[], EntryKind::Failed { message }).await;
        }
        named
    }
}
