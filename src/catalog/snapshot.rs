use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Catalog;

/// The version of the snapshot format that this program writes, and the newest it reads.
const FORMAT: u32 = 1;

/// A catalogue as a file, so that plans are made and files are checked without a connection:
/// names, types, definitions and sizes, and no data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version of this format.
    pub zdmig_snapshot: u32,
    /// Migrations that had been begun when it was taken.
    pub begun: Vec<String>,
    /// What was there.
    pub catalog: Catalog,
}

/// Why a text is no snapshot.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// It is no JSON of ours.
    #[error("this is not a snapshot of zdmig: {0}")]
    NotASnapshot(#[from] serde_json::Error),
    /// It was written by a newer program.
    #[error(
        "this snapshot has format {found}, and this zdmig reads up to {FORMAT}: use a newer zdmig"
    )]
    TooNew {
        /// The format it says it has.
        found: u32,
    },
}

impl Snapshot {
    /// A snapshot of a catalogue.
    pub fn of(catalog: Catalog, begun: Vec<String>) -> Self {
        Self { zdmig_snapshot: FORMAT, begun, catalog }
    }

    /// The snapshot as a file: JSON, the same bytes for the same catalogue.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// When it is none, or from a newer program.
    pub fn from_json(text: &str) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Head {
            zdmig_snapshot: u32,
        }
        let head: Head = serde_json::from_str(text)?;
        if head.zdmig_snapshot > FORMAT {
            return Err(SnapshotError::TooNew { found: head.zdmig_snapshot });
        }
        Ok(serde_json::from_str(text)?)
    }
}
