use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Entry, EntryKind, IllegalEntry, Overruled, Status, Watermark};
use crate::migration::{Checksum, MigrationId};
use crate::plan::{Phase, Plan, StepId};

/// The log, folded.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    statuses: BTreeMap<StepId, Status>,
    finished_at: BTreeMap<StepId, DateTime<Utc>>,
    failures: BTreeMap<StepId, String>,
    plans: BTreeMap<MigrationId, Plan>,
    adopted: BTreeMap<MigrationId, Checksum>,
    /// Plans in flight in other schemas, where it is of one.
    elsewhere: Vec<Plan>,
    watermarks: BTreeMap<StepId, Watermark>,
    entries: Vec<Entry>,
}

/// Where a whole migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Not begun, or rolled back.
    Pending,
    /// In this phase.
    In(Phase),
    /// This phase is done and the next is not begun.
    After(Phase),
}

impl Journal {
    /// Folds a log, oldest entry first.
    ///
    /// # Errors
    /// When an entry cannot follow the one before it.
    pub fn replay(
        entries: Vec<Entry>,
        watermarks: BTreeMap<StepId, Watermark>,
    ) -> Result<Self, IllegalEntry> {
        let mut journal = Self { watermarks, ..Self::default() };
        for entry in entries {
            journal.add(entry)?;
        }
        Ok(journal)
    }

    /// Adds one entry, as replay does.
    ///
    /// # Errors
    /// When it cannot follow.
    pub fn add(&mut self, entry: Entry) -> Result<(), IllegalEntry> {
        match &entry.kind {
            EntryKind::Planned { plan } => {
                self.plans.insert(plan.migration.clone(), (**plan).clone());
            }
            EntryKind::RolledBack => {
                let prefix = entry.step.migration_prefix().to_owned();
                self.watermarks.retain(|step, _| !step.as_str().starts_with(&prefix));
                self.plans.retain(|_, plan| plan.fingerprint != entry.plan);
                self.adopted.retain(|id, _| format!("{id}/") != prefix);
            }
            EntryKind::Permitted { .. } | EntryKind::BrownOut { .. } => {}
            EntryKind::Adopted { checksum, .. } => {
                let id = entry.step.migration_prefix().trim_end_matches('/');
                let wrong = |_| IllegalEntry { entry: entry.kind.word(), status: Status::Pending };
                let id = MigrationId::from_stem(id).map_err(wrong)?;
                self.adopted.insert(id, checksum.clone());
            }
            kind => {
                let status = self.status(&entry.step).next(kind)?;
                self.statuses.insert(entry.step.clone(), status);
                if let EntryKind::Failed { message } = kind {
                    self.failures.insert(entry.step.clone(), message.clone());
                } else {
                    self.failures.remove(&entry.step);
                }
                if *kind == EntryKind::Undone {
                    self.watermarks.remove(&entry.step);
                }
                if status == Status::Done {
                    self.finished_at.insert(entry.step.clone(), entry.at);
                } else {
                    self.finished_at.remove(&entry.step);
                }
            }
        }
        self.entries.push(entry);
        Ok(())
    }

    /// What was done in one schema of several, or outside of such.
    #[must_use]
    pub fn of(mut self, schema: Option<&str>) -> Self {
        let own = |id: &MigrationId| id.schema() == schema;
        let others = self.open().filter(|plan| !own(&plan.migration)).cloned().collect();
        self.elsewhere = others;
        let step = |step: &StepId| {
            let id = step.migration_prefix().trim_end_matches('/');
            id.split_once('@').map(|(_, schema)| schema) == schema
        };
        self.statuses.retain(|id, _| step(id));
        self.finished_at.retain(|id, _| step(id));
        self.failures.retain(|id, _| step(id));
        self.watermarks.retain(|id, _| step(id));
        self.plans.retain(|id, _| own(id));
        self.adopted.retain(|id, _| own(id));
        self.entries.retain(|entry| step(&entry.step));
        self
    }

    /// Where a step stands.
    pub fn status(&self, step: &StepId) -> Status {
        self.statuses.get(step).copied().unwrap_or(Status::Pending)
    }

    /// When a step was done.
    pub fn finished_at(&self, step: &StepId) -> Option<DateTime<Utc>> {
        self.finished_at.get(step).copied()
    }

    /// Why a step failed the last time.
    pub fn failure(&self, step: &StepId) -> Option<&str> {
        self.failures.get(step).map(String::as_str)
    }

    /// How far a fill has come.
    pub fn watermark(&self, step: &StepId) -> Option<&Watermark> {
        self.watermarks.get(step)
    }

    /// The plan a migration is run by, once it was taken up.
    pub fn plan(&self, migration: &MigrationId) -> Option<&Plan> {
        self.plans.get(migration)
    }

    /// Whether a migration was ever taken up, rolled back or not.
    pub fn was_planned(&self, migration: &MigrationId) -> bool {
        self.entries.iter().any(
            |entry| matches!(&entry.kind, EntryKind::Planned { plan } if plan.migration == *migration),
        )
    }

    /// The checksum of a migration that was run before zdmig came, as its file was then.
    pub fn adopted(&self, migration: &MigrationId) -> Option<&Checksum> {
        self.adopted.get(migration)
    }

    /// Every migration that is done or under way, by a plan or before zdmig came.
    pub fn known(&self) -> impl Iterator<Item = &MigrationId> {
        self.plans.keys().chain(self.adopted.keys())
    }

    /// Whether a migration is neither done nor under way.
    pub fn is_new(&self, migration: &MigrationId) -> bool {
        !self.plans.contains_key(migration) && !self.adopted.contains_key(migration)
    }

    /// Every plan that was taken up and not rolled back, in order.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.values()
    }

    /// Every plan in flight, in whatever schema.
    pub fn open(&self) -> impl Iterator<Item = &Plan> {
        let own = self.plans.values().filter(|plan| self.in_flight(&plan.migration));
        own.chain(&self.elsewhere)
    }

    /// The log itself, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether the gate let a phase begin since the plan was taken up.
    pub fn permitted(&self, plan: &Plan, phase: Phase) -> bool {
        let step = format!("{}/{phase}", plan.migration);
        let taken_up = |entry: &Entry| match &entry.kind {
            EntryKind::Planned { plan: one } => one.migration == plan.migration,
            _ => false,
        };
        let since = self.entries.iter().rev().take_while(|entry| !taken_up(entry));
        since
            .filter(|entry| entry.step.as_str() == step)
            .any(|entry| matches!(entry.kind, EntryKind::Permitted { .. }))
    }

    /// How long the last brownout of a plan lasted, and whose statements failed in it; `None` where
    /// there was none.
    pub fn browned(&self, plan: &Plan) -> Option<(Duration, &[String])> {
        let of = |entry: &&Entry| entry.plan == plan.fingerprint;
        self.entries.iter().rev().filter(of).find_map(|entry| match &entry.kind {
            EntryKind::BrownOut { seconds, refused } => {
                Some((Duration::from_secs(*seconds), refused.as_slice()))
            }
            _ => None,
        })
    }

    /// What was ever overruled, the oldest first.
    pub fn overruled(&self) -> impl Iterator<Item = &Overruled> {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            EntryKind::Permitted { overruled, .. } => overruled.as_deref(),
            _ => None,
        })
    }

    /// Whether anything of a phase was done, or tried.
    pub fn begun(&self, plan: &Plan, phase: Phase) -> bool {
        plan.phase(phase).any(|step| {
            self.status(&step.id) != Status::Pending || self.watermark(&step.id).is_some()
        })
    }

    /// Whether every step of a phase is done.
    pub fn phase_done(&self, plan: &Plan, phase: Phase) -> bool {
        plan.phase(phase).all(|step| self.status(&step.id) == Status::Done)
    }

    /// When the last step of a phase was done, if it is.
    pub fn phase_done_at(&self, plan: &Plan, phase: Phase) -> Option<DateTime<Utc>> {
        plan.phase(phase).filter_map(|step| self.finished_at(&step.id)).max()
    }

    /// Where a migration stands.
    pub fn progress(&self, migration: &MigrationId) -> Progress {
        if self.adopted.contains_key(migration) {
            return Progress::After(Phase::Purge);
        }
        let Some(plan) = self.plan(migration) else { return Progress::Pending };
        for (at, phase) in Phase::ALL.into_iter().enumerate() {
            if self.phase_done(plan, phase) {
                continue;
            }
            let begun = self.begun(plan, phase);
            return match at.checked_sub(1) {
                Some(before) if !begun => Progress::After(Phase::ALL[before]),
                _ => Progress::In(phase),
            };
        }
        Progress::After(Phase::Purge)
    }

    /// Whether a migration has been taken up and is not wholly done.
    pub fn in_flight(&self, migration: &MigrationId) -> bool {
        !matches!(self.progress(migration), Progress::Pending | Progress::After(Phase::Purge))
    }
}
