use serde::{Deserialize, Serialize};

use super::action::AddColumn;
use crate::catalog::Grant;
use crate::sql::{ColumnRef, Ident, Sql, TableName};

/// Another default for a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDefault {
    /// The column.
    pub column: ColumnRef,
    /// The default; `None` drops it.
    pub default: Option<Sql>,
    /// The default before.
    pub before: Option<Sql>,
}

/// A new column that a sequence counts up: new rows are counted at once, others are filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddCounted {
    /// The column, nullable until it is filled.
    pub add: AddColumn,
    /// The sequence.
    pub sequence: TableName,
    /// How it counts, as written.
    pub options: String,
    /// Who inserts into the table, and so must be let count; `None` is everybody.
    pub inserters: Vec<Option<Ident>>,
}

/// A filled column that becomes an identity and goes on counting where its sequence stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeIdentity {
    /// The column, and the sequence that counted it so far, which goes.
    pub counted: AddCounted,
    /// The clause, as written.
    pub clause: String,
}

/// The index of a partitioned table, whose parts are built already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinIndexes {
    /// The table.
    pub table: TableName,
    /// The index, or the constraint.
    pub name: Ident,
    /// The statement that makes the index, or the constraint's clause, as written.
    pub definition: Sql,
    /// What the server calls the indexes of partitions after: their keys and included columns.
    pub shown: String,
    /// The key that it is; `None` for an index alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyKind>,
    /// The partitions, each with its index under a working name.
    pub parts: Vec<(TableName, Ident)>,
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// UNIQUE.
    Unique,
    /// PRIMARY KEY.
    Primary,
}

/// A table that becomes a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachPartition {
    /// The partitioned table.
    pub table: TableName,
    /// The table that becomes its partition.
    pub part: TableName,
    /// The statement, as written.
    pub statement: Sql,
    /// Valid checks by which the server knows where rows belong: they are not needed after.
    pub checks: Vec<(TableName, Ident)>,
}

/// A unique index that becomes a constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachIndex {
    /// The table.
    pub table: TableName,
    /// The constraint's name.
    pub name: Ident,
    /// The index, which takes over that name.
    pub index: Ident,
    /// Whether it becomes the primary key.
    pub primary: bool,
    /// DEFERRABLE and the like, as written.
    pub attributes: String,
    /// Whether another key over the same columns was there before: a foreign key that a
    /// rollback makes again may come to rest on this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second: bool,
}

/// A constraint that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropConstraint {
    /// The table.
    pub table: TableName,
    /// The constraint.
    pub name: Ident,
    /// Its clause, as the server prints it; empty where it is not known.
    pub definition: String,
    /// The table that a foreign key points to, which is locked too.
    pub references: Option<TableName>,
    /// What its index is called while a rollback builds it.
    pub working: Ident,
}

/// A table's old and new name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameTable {
    /// The old name.
    pub from: TableName,
    /// The new name, which may be in another schema.
    pub to: TableName,
    /// Whether the old name goes on as a view.
    pub alias: bool,
    /// Privileges on the table, for the view.
    pub grants: Vec<Grant>,
}

/// A column with two names for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasColumn {
    /// The column, by its old name.
    pub column: ColumnRef,
    /// Its new name.
    pub to: Ident,
    /// The table's name while a view stands for it.
    pub base: Ident,
    /// Privileges on the table, for the view.
    pub grants: Vec<Grant>,
}

/// Tables that go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetireTables {
    /// Each by the name the author knows, and the one it bears while it is retired.
    pub tables: Vec<(TableName, Ident)>,
}

impl RetireTables {
    /// Their names, for a step's own.
    pub(super) fn names(&self) -> String {
        self.tables.iter().map(|(table, _)| table.to_string()).collect::<Vec<_>>().join("+")
    }
}
