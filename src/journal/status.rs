use thiserror::Error;

use super::EntryKind;

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not begun, or taken back.
    Pending,
    /// Begun; whether it landed must be asked.
    Running,
    /// Done.
    Done,
    /// Tried and failed; can be tried again.
    Failed,
    /// Being taken back.
    Undoing,
}

/// A log that cannot have come about.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the journal says `{entry}` after `{status:?}`: it was changed by hand")]
pub struct IllegalEntry {
    /// The entry.
    pub entry: &'static str,
    /// The status before it.
    pub status: Status,
}

impl Status {
    /// The status after one more entry: the only place where a status changes.
    ///
    /// # Errors
    /// When the entry cannot follow.
    pub fn next(self, entry: &EntryKind) -> Result<Self, IllegalEntry> {
        use EntryKind as E;
        match (self, entry) {
            (Self::Pending | Self::Running | Self::Failed, E::Started) => Ok(Self::Running),
            (Self::Pending | Self::Running | Self::Failed, E::Finished { .. }) => Ok(Self::Done),
            (Self::Pending | Self::Running | Self::Failed, E::Failed { .. }) => Ok(Self::Failed),
            (Self::Done | Self::Running | Self::Failed | Self::Undoing, E::UndoStarted) => {
                Ok(Self::Undoing)
            }
            (Self::Undoing, E::Failed { .. }) => Ok(Self::Undoing),
            // Its undo failed, and left nothing behind.
            (Self::Undoing, E::Finished { .. }) => Ok(Self::Done),
            (Self::Done | Self::Running | Self::Failed | Self::Undoing, E::Undone) => {
                Ok(Self::Pending)
            }
            (
                status,
                E::Planned { .. }
                | E::Permitted { .. }
                | E::BrownOut { .. }
                | E::RolledBack
                | E::Adopted { .. },
            ) => Ok(status),
            (status, entry) => Err(IllegalEntry { entry: entry.word(), status }),
        }
    }
}
