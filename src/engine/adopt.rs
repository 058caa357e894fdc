//! Migrations that were run before zdmig came.

use chrono::Utc;

use super::{Engine, EngineError};
use crate::dialect::Work;
use crate::journal::{Entry, EntryKind};
use crate::migration::{Checksum, MigrationId};
use crate::plan::{Fingerprint, StepId};

/// A migration that is held for run from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The migration.
    pub migration: MigrationId,
    /// Of its file as it is now.
    pub checksum: Checksum,
    /// Whose word it is that it was run.
    pub from: String,
}

impl Engine<'_> {
    /// Holds a migration for run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn adopt(&mut self, adoption: &Adoption) -> Result<(), EngineError> {
        let Adoption { migration, checksum, from } = adoption;
        let kind = EntryKind::Adopted { checksum: checksum.clone(), from: from.clone() };
        self.adoption(migration, kind).await
    }

    /// Holds a migration for run no longer: it is pending again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn disown(&mut self, migration: &MigrationId) -> Result<(), EngineError> {
        self.adoption(migration, EntryKind::RolledBack).await
    }

    async fn adoption(
        &mut self,
        migration: &MigrationId,
        kind: EntryKind,
    ) -> Result<(), EngineError> {
        let entry = Entry {
            step: StepId::stored(format!("{migration}/adopted")),
            plan: Fingerprint::of(&migration),
            at: Utc::now(),
            by: self.options.owner.clone(),
            kind,
        };
        self.session.commit(&Work { sql: &[], entry: &entry }).await?;
        self.journal.add(entry)?;
        Ok(())
    }
}
