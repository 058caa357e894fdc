use serde::{Deserialize, Serialize};

use super::derive::Derived;
use super::fill::{Analyze, FillRows, Verify};
use super::object::{
    AddCounted, AliasColumn, AttachIndex, AttachPartition, DropConstraint, JoinIndexes,
    MakeIdentity, RenameTable, RetireTables, SetDefault,
};
use super::retire::{DropColumn, Retire, RetireType};
use super::retype::{Retyped, Swap};
use crate::catalog::{Column, Grant, Index};
use crate::sql::{ColumnRef, Ident, Span, Sql, TableName};

/// One thing to do to a database, before a dialect puts it into words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// The author's statement, as written.
    Verbatim(Verbatim),
    /// Add a column.
    AddColumn(AddColumn),
    /// Add a column that a sequence counts up.
    AddCounted(AddCounted),
    /// Make a counted column an identity.
    MakeIdentity(MakeIdentity),
    /// Let a column be NULL, so that new code may leave it out.
    DropNotNull(DropNotNull),
    /// Keep columns in step by triggers.
    InstallSync(Sync),
    /// Take the triggers away again, columns stay.
    RemoveSync(Sync),
    /// Fill existing rows in chunks.
    Backfill(FillRows),
    /// Prove that no row disagrees.
    Verify(Verify),
    /// Let the server gather statistics of columns that were filled.
    Analyze(Analyze),
    /// Build an index without blocking writers, where the server can.
    BuildIndex(IndexBuild),
    /// Forbid NULL for new rows, old ones unchecked.
    AddNotNullCheck(NotNullCheck),
    /// Check the old rows.
    ValidateNotNull(NotNullCheck),
    /// Make the column NOT NULL, proved by the check.
    SetNotNull(NotNullCheck),
    /// Drop the check, and the triggers that filled the column.
    DropNotNullCheck(NotNullCheck),
    /// Change or drop a column's default.
    SetDefault(SetDefault),
    /// Add a check or foreign key, old rows unchecked.
    AttachConstraint(Carried),
    /// Make one index of those that were built on each partition.
    JoinIndexes(JoinIndexes),
    /// Make a table a partition, with the proof at hand that its rows belong there.
    AttachPartition(AttachPartition),
    /// Turn a unique index into a unique constraint or a primary key.
    AttachIndex(AttachIndex),
    /// Drop a constraint.
    DropConstraint(DropConstraint),
    /// Rename a table, and let its old name go on as a view where that is asked for.
    RenameTable(RenameTable),
    /// Drop the view under a table's old name.
    DropAlias(RenameTable),
    /// Rename a column in place, and let the table's name go on as a view with both names.
    AliasColumn(AliasColumn),
    /// Drop that view, and give the table its name back.
    DropColumnAlias(AliasColumn),
    /// Take tables away from applications, reversibly.
    RetireTables(RetireTables),
    /// Drop tables for good.
    DropTables(RetireTables),
    /// Check the old rows.
    ValidateConstraint(Carried),
    /// Let the triggers fail where a value cannot be converted, now that no code should
    /// write one.
    Tighten(Sync),
    /// Let columns of another type take the place of the old ones.
    Swap(Swap),
    /// Drop the columns whose place was taken.
    DropSwapped(Swap),
    /// Take a column away from applications, reversibly.
    Retire(Retire),
    /// Free the name of a type that goes.
    RetireType(RetireType),
    /// Drop a type for good.
    DropType(RetireType),
    /// Drop a column for good.
    DropColumn(DropColumn),
    /// Drop an index without blocking.
    DropIndex(IndexBuild),
}

/// SQL that the author wrote for a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verbatim {
    /// Where it stands.
    pub span: Span,
    /// The statements, each as written.
    pub sql: Vec<Sql>,
    /// Settings that the file makes before it, for this transaction alone.
    pub settings: Vec<Sql>,
    /// A word for the step's name: the table it makes, or the number of the statement.
    pub label: String,
    /// The table it creates, if it does.
    pub creates: Option<TableName>,
    /// Whether its effect lies wholly in a table that this plan creates.
    pub within_new: bool,
    /// The rows it inserts, where they are noted so that a rollback can take them back.
    pub seeds: Option<Seeds>,
}

/// Rows that a statement lists and inserts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds {
    /// A short name, unique in the database and the same at every run.
    pub tag: String,
    /// The table.
    pub table: TableName,
    /// Its primary key; empty where it has none, and rows are told by all of their values.
    pub key: Vec<Ident>,
}

/// A column that may be NULL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropNotNull {
    /// The column.
    pub column: ColumnRef,
    /// The name of the check by which a rollback reads the rows beside everybody.
    pub check: Ident,
}

/// A new column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddColumn {
    /// The table.
    pub table: TableName,
    /// The column, as it is to be right after this step.
    pub column: Column,
    /// Whether rows that exist get the default too: instant where it is constant.
    pub default_for_existing: bool,
}

/// An expression over one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expr {
    /// The value of a column, unchanged.
    Column(Ident),
    /// The author's words.
    Verbatim(Sql),
}

/// Triggers that keep columns of a row in step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The table.
    pub table: TableName,
    /// A short name, unique in the database and the same at every run.
    pub tag: String,
    /// What is kept in step.
    #[serde(flatten)]
    pub kind: SyncKind,
}

/// What a trigger keeps in step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncKind {
    /// Two columns that stand for one value, written by old and by new code.
    Replace {
        /// The column of the old code.
        old: Box<Column>,
        /// The column of the new code.
        new: Box<Column>,
        /// New from old.
        forward: Expr,
        /// Old from new; `None` where the author said that old readers need it not.
        reverse: Option<Expr>,
    },
    /// Columns of one table that get another type.
    Retype(Vec<Retyped>),
    /// Columns that take the place of others, several on one side or on both.
    Derive(Box<Derived>),
    /// A column that old code does not know or leaves empty.
    FillNull {
        /// The column.
        column: Ident,
        /// What it gets.
        value: Expr,
        /// The author's WHERE: other rows get nothing.
        condition: Option<Sql>,
    },
}

/// An index to build or to drop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexBuild {
    /// The table it is on.
    pub table: TableName,
    /// Its name.
    pub name: Ident,
    /// The statement that builds it: the author's, or the one of the index it is a copy of.
    pub definition: Sql,
    /// Where the author's statement lacks the word that lets writers go on.
    pub insert_at: Option<u32>,
    /// The columns that the copy is built on, in place of the original's.
    pub renamed: Vec<(Ident, Ident)>,
    /// Whether it forbids duplicates.
    pub unique: bool,
    /// Whether it can be built and dropped beside writers: one over partitions cannot.
    pub online: bool,
    /// Whether the statement is about the table that this one is a partition of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_part: bool,
    /// Whether another key over the same columns was there before: a foreign key that a
    /// rollback makes again may come to rest on this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second: bool,
}

/// The check by which a column becomes NOT NULL without a scan under a strong lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotNullCheck {
    /// The column.
    pub column: ColumnRef,
    /// The check's name.
    pub check: Ident,
    /// The triggers that filled the column meanwhile.
    pub sync: Option<Sync>,
    /// Whether the check goes as soon as the column is NOT NULL. Behind the gate it stays
    /// until purge, and the triggers with it, so that a restore finds them.
    pub goes_at_once: bool,
}

/// A check or foreign key: a new one, or that of an old column made again for the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The table.
    pub table: TableName,
    /// The name while both exist.
    pub name: Ident,
    /// The clause.
    pub definition: String,
    /// The columns it is for, in place of those in the clause.
    pub renamed: Vec<(Ident, Ident)>,
    /// The columns that a foreign key points to, in place of those in the clause.
    pub pointed: Vec<(Ident, Ident)>,
    /// Tables it points to.
    pub references: Vec<TableName>,
    /// Whether rows that exist are checked at once, because the server knows no other way.
    pub at_once: bool,
}

impl Action {
    /// A short name for the step, unique within its phase: part of a step's identity.
    pub fn slug(&self) -> String {
        match self {
            Self::Verbatim(one) => format!("run-{}", one.label),
            Self::AddColumn(one) => format!("add-{}.{}", one.table, one.column.name),
            Self::AddCounted(one) => format!("add-{}.{}", one.add.table, one.add.column.name),
            Self::MakeIdentity(one) => {
                format!("identity-{}.{}", one.counted.add.table, one.counted.add.column.name)
            }
            Self::DropNotNull(one) => format!("drop-not-null-{}", one.column),
            Self::InstallSync(sync) => format!("sync-{}", sync.subject()),
            Self::RemoveSync(sync) => format!("unsync-{}", sync.subject()),
            Self::Backfill(fill) if fill.deletes() => format!("delete-{}", fill.table),
            Self::Backfill(FillRows { copy: Some(copy), .. }) => format!("copy-{}", copy.into),
            Self::Backfill(fill) => format!("fill-{}.{}", fill.table, fill.columns("+")),
            Self::Verify(verify) => {
                format!("prove-{}-{}.{}", verify.rule.word(), verify.table, verify.rule.columns())
            }
            Self::Analyze(one) => format!("analyze-{}", one.table),
            Self::BuildIndex(index) => format!("build-{}", index.name),
            Self::AddNotNullCheck(check) => format!("check-{}", check.column),
            Self::ValidateNotNull(check) => format!("validate-{}", check.column),
            Self::DropNotNullCheck(check) => format!("uncheck-{}", check.column),
            Self::SetNotNull(check) => format!("not-null-{}", check.column),
            Self::SetDefault(one) if one.default.is_some() => format!("default-{}", one.column),
            Self::SetDefault(one) => format!("drop-default-{}", one.column),
            Self::AttachConstraint(one) => format!("attach-{}", one.name),
            Self::JoinIndexes(one) => format!("join-{}", one.name),
            Self::AttachPartition(one) => format!("attach-{}", one.part),
            Self::AttachIndex(one) => format!("attach-{}", one.name),
            Self::DropConstraint(one) => format!("drop-{}.{}", one.table, one.name),
            Self::RenameTable(one) => format!("rename-{}", one.from),
            Self::DropAlias(one) => format!("drop-alias-{}", one.from),
            Self::AliasColumn(one) => format!("alias-{}", one.column),
            Self::DropColumnAlias(one) => format!("drop-alias-{}", one.column),
            Self::RetireTables(one) => format!("retire-{}", one.names()),
            Self::DropTables(one) => format!("drop-{}", one.names()),
            Self::ValidateConstraint(one) => format!("validate-{}", one.name),
            Self::Tighten(sync) => format!("tighten-{}", sync.subject()),
            Self::Swap(swap) => format!("swap-{}", swap.names()),
            Self::DropSwapped(swap) => format!("drop-{}", swap.names()),
            Self::Retire(retire) => format!("retire-{}", retire.column),
            Self::RetireType(one) => format!("retire-{}", one.name),
            Self::DropType(one) => format!("drop-{}", one.name),
            Self::DropColumn(drop) => format!("drop-{}", drop.column),
            Self::DropIndex(index) => format!("drop-{}", index.name),
        }
    }
}

impl Sync {
    fn subject(&self) -> String {
        match &self.kind {
            SyncKind::Replace { old, new, .. } => {
                format!("{}.{}-{}", self.table, old.name, new.name)
            }
            SyncKind::Retype(columns) => {
                let names: Vec<_> = columns.iter().map(|one| one.old.name.as_str()).collect();
                format!("{}.{}", self.table, names.join("+"))
            }
            SyncKind::Derive(derived) => format!("{}.{}", self.table, derived.names()),
            SyncKind::FillNull { column, .. } => format!("{}.{column}", self.table),
        }
    }
}

impl IndexBuild {
    /// The index as the catalogue describes it, for dropping and for making it again.
    pub fn existing(table: &TableName, index: &Index) -> Self {
        Self {
            table: table.clone(),
            name: index.name.clone(),
            definition: Sql::new(index.definition.clone()),
            insert_at: None,
            renamed: Vec::new(),
            unique: index.unique,
            online: true,
            on_part: false,
            second: false,
        }
    }
}

impl AddColumn {
    /// The privileges to grant on the new column alone.
    pub fn grants(&self) -> &[Grant] {
        &self.column.grants
    }
}
