//! A column that goes: taken away reversibly first, dropped later.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::action::{IndexBuild, Sync};
use crate::catalog::{Default, Mark, Object};
use crate::sql::{ColumnRef, Ident, TableName};

/// The reversible half of contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retire {
    /// The column.
    pub column: ColumnRef,
    /// How.
    pub way: RetireWay,
    /// The triggers that keep it current meanwhile.
    pub sync: Option<Sync>,
    /// Columns of the same triggers that are renamed away before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<(Ident, Ident)>,
}

/// A type that goes while a column kept for a restore is still of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetireType {
    /// The type.
    pub name: TableName,
    /// Its name until it is dropped.
    pub hidden: Ident,
    /// Whether CASCADE was written.
    pub cascade: bool,
}

/// How a column is taken away from applications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetireWay {
    /// Its privileges are revoked.
    Privileges,
    /// It is renamed, because no privilege would stop the applications.
    Rename(Ident),
}

/// The irreversible half of contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropColumn {
    /// The column, by the name the author knows.
    pub column: ColumnRef,
    /// How it was retired.
    pub way: RetireWay,
    /// The triggers that go with it.
    pub sync: Option<Sync>,
    /// Indexes that are lost with it, as they were listed in the plan.
    pub loses: BTreeSet<Ident>,
    /// Objects made for the new column that take over the names of the lost ones.
    pub renames: Vec<TakenOver>,
    /// Columns that go in the same moment, because the same triggers keep them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<(ColumnRef, RetireWay)>,
    /// What the lost indexes and constraints had beside their definitions, for those that take
    /// over their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

/// Something made under a working name that gets its final one when the old one is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TakenOver {
    /// An index.
    Index {
        /// The working name.
        from: Ident,
        /// The final name.
        to: Ident,
        /// How it would be built under its final name, where it cannot be renamed.
        rebuilt: IndexBuild,
    },
    /// A unique index that becomes a constraint.
    UniqueConstraint {
        /// The working name.
        from: Ident,
        /// The final name.
        to: Ident,
    },
    /// A check or foreign key.
    Constraint {
        /// The working name.
        from: Ident,
        /// The final name.
        to: Ident,
    },
    /// Extended statistics, which go with the old column and are made again over the new one.
    Statistics {
        /// What the old ones are.
        object: Object,
        /// The columns, and those that take their places.
        renamed: Vec<(Ident, Ident)>,
    },
    /// A default that the triggers stood in for.
    Default {
        /// The new column.
        column: Ident,
        /// The default.
        default: Default,
    },
}
