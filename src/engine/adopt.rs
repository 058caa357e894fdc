//! Migrations that were run before zdmig came.

use super::{Engine, EngineError};
use crate::journal::EntryKind;
use crate::migration::{Checksum, MigrationId, SourceFile};
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

impl Adoption {
    /// Of a file as it is now, on somebody's word.
    pub fn of(file: &SourceFile, from: &str) -> Self {
        let (migration, checksum) = (file.id.clone(), file.checksum.clone());
        Self { migration, checksum, from: from.to_owned() }
    }
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
        let step = StepId::stored(format!("{migration}/adopted"));
        self.write(&Fingerprint::of(&migration), &step, &[], kind).await
    }
}
