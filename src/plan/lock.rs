use serde::{Deserialize, Serialize};

/// A lock that a step takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What is locked.
    pub object: String,
    /// The mode, in the server's own words.
    pub mode: String,
    /// Whom it blocks.
    pub blocks: Blocks,
    /// For how long it is held.
    pub held: Held,
}

/// Whom a lock blocks while it is held or waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blocks {
    /// Neither readers nor writers, only other schema changes.
    Nobody,
    /// Writers of the same rows.
    SameRows,
    /// Writers.
    Writes,
    /// Readers and writers.
    Everything,
}

/// For how long a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// Metadata only.
    Instant,
    /// While a chunk is written.
    PerChunk,
    /// While the table is read.
    WhileScanning,
    /// While the table or an index is written anew.
    WhileRewriting,
}

impl Blocks {
    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nobody => "blocks no query",
            Self::SameRows => "blocks writers of the same rows",
            Self::Writes => "blocks writes",
            Self::Everything => "blocks reads and writes",
        }
    }
}

impl Held {
    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Instant => "an instant",
            Self::PerChunk => "per chunk",
            Self::WhileScanning => "while the table is read",
            Self::WhileRewriting => "while it is written anew",
        }
    }
}
