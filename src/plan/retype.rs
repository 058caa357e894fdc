use serde::{Deserialize, Serialize};

use super::{Expr, Sync};
use crate::catalog::{Column, Default, Mark, Object};
use crate::sql::{Ident, Sql, TableName};

/// A column that gets another type behind the name that everybody knows. Until the swap a
/// hidden column of the new type follows the old one; after it the old one, hidden now,
/// follows the new one, so that the swap can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retyped {
    /// The column as it is.
    pub old: Column,
    /// The hidden column, under its working name.
    pub new: Column,
    /// The old column's name after the swap.
    pub kept: Ident,
    /// New from old, over the old column's name.
    pub forward: Expr,
    /// Old from new, over the same name; `None` where nothing leads back.
    pub reverse: Option<Expr>,
    /// Whether every value of the old type has one of its own in the new type, so that the
    /// conversion can neither fail nor make two values one.
    pub widens: bool,
    /// The default after the swap.
    pub default: Option<Default>,
    /// What counts the column up by itself.
    pub counts: Option<Counts>,
}

/// What numbers the rows of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// A sequence that belongs to the column.
    Sequence,
    /// GENERATED … AS IDENTITY.
    Identity,
}

/// The moment at which columns change places, and everything that changes with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The triggers, and with them the columns.
    pub sync: Sync,
    /// Indexes that have a copy over the new columns.
    pub indexes: Vec<SwappedIndex>,
    /// Checks and foreign keys that have a copy, those of other tables too.
    pub constraints: Vec<SwappedConstraint>,
    /// Extended statistics over old columns, which are made again over the new ones.
    pub statistics: Vec<Object>,
    /// What the old indexes and constraints have beside their definitions, for the copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<(TableName, Mark)>,
}

/// An index that takes another's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwappedIndex {
    /// The name that stays.
    pub name: Ident,
    /// The copy's name until the swap.
    pub working: Ident,
    /// What it is.
    pub role: IndexRole,
    /// The statement that would make the old one, or the clause of its constraint.
    pub definition: Sql,
    /// The statement that made the copy.
    pub copy: Sql,
    /// The columns that stand in the copy in place of those in the statement.
    pub renamed: Vec<(Ident, Ident)>,
}

/// What an index is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexRole {
    /// For reading.
    Plain,
    /// Against duplicates.
    Unique,
    /// Under a unique constraint.
    Constraint,
    /// Under the primary key.
    Primary,
}

impl IndexRole {
    /// Whether a constraint rests on it.
    pub fn is_constraint(self) -> bool {
        matches!(self, Self::Constraint | Self::Primary)
    }
}

/// A check or a foreign key that takes another's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwappedConstraint {
    /// The table that has it.
    pub table: TableName,
    /// The name that stays.
    pub name: Ident,
    /// The copy's name until the swap.
    pub working: Ident,
    /// The old one's clause.
    pub definition: String,
    /// The table that it points to.
    pub references: Option<TableName>,
}

impl Swap {
    /// The columns.
    pub fn columns(&self) -> &[Retyped] {
        match &self.sync.kind {
            super::SyncKind::Retype(columns) => columns,
            _ => &[],
        }
    }

    /// The columns' names, for a step's own.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.columns().iter().map(|one| one.old.name.as_str()).collect();
        format!("{}.{}", self.sync.table, names.join("+"))
    }
}
