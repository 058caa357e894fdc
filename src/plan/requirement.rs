use serde::{Deserialize, Serialize};

use crate::sql::ColumnRef;

/// What contract takes away: what the gate must ask about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The targets; none when contract takes nothing that code can use.
    pub targets: Vec<Target>,
}

/// Something that contract takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The column.
    pub column: ColumnRef,
    /// Which use of it must have ended.
    pub ends: Use,
    /// The column that stands in for it.
    pub replaced_by: Option<ColumnRef>,
}

/// A way in which code can depend on a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Reading it, writing it or naming it at all: the column goes.
    Any,
    /// Naming it in `ON CONFLICT`: its unique index goes.
    Upserts,
    /// Writing NULL into it or leaving it out of an insert: it becomes NOT NULL.
    NullWrites,
}

impl Use {
    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Any => "reads or writes",
            Self::Upserts => "may upsert by",
            Self::NullWrites => "may write NULL into",
        }
    }
}
