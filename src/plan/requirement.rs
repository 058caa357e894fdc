use serde::{Deserialize, Serialize};

use crate::sql::{ColumnRef, Ident, TableName};

/// What contract takes away: what the gate must ask about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The targets; none when contract takes nothing that code can use.
    pub targets: Vec<Target>,
}

/// Something that contract takes away or forbids. Of a whole table, and of what is no table,
/// the column is `*`.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Reading it, writing it or naming it at all: the column goes.
    Any,
    /// Naming it in `ON CONFLICT`: its unique index goes.
    Upserts,
    /// Writing NULL into it or leaving it out of an insert: it becomes NOT NULL.
    NullWrites,
    /// Writing rows that break a constraint: it is added.
    Breaks(Ident),
    /// Reading or writing it as the type it has: it gets this one.
    Retypes(String),
    /// Naming a function, a type, a sequence: it goes.
    Names,
}

impl Target {
    /// A whole table, or what stands where a table can.
    pub fn relation(table: &TableName) -> Self {
        Self { column: ColumnRef::new(table, &Ident::new("*")), ends: Use::Any, replaced_by: None }
    }

    /// A function, a type or a sequence.
    pub fn named(object: &TableName) -> Self {
        Self { ends: Use::Names, ..Self::relation(object) }
    }

    /// Whether it is not about one column.
    pub fn is_whole(&self) -> bool {
        self.column.column.as_str() == "*"
    }

    /// For a person.
    pub fn shown(&self) -> String {
        if self.is_whole() { self.column.table.to_string() } else { self.column.to_string() }
    }
}

impl Use {
    /// For a person.
    pub fn words(&self) -> String {
        match self {
            Self::Any => "reads or writes".into(),
            Self::Upserts => "may upsert by".into(),
            Self::NullWrites => "may write NULL into".into(),
            Self::Breaks(rule) => format!("may write what breaks `{rule}` into"),
            Self::Retypes(ty) => format!("relies on another type than `{ty}` in"),
            Self::Names => "names".into(),
        }
    }
}
