//! Floor 2: what the author meant, whatever the product they wrote it for.

mod evolve;
mod plain;

use crate::catalog::ConstraintKind;
use crate::sql::{ColumnRef, Ident, Span, TableName};

pub use evolve::EvolveError;
pub use plain::{Attach, Copies, Effect, Object, ObjectKind, Plain};

/// One intention, and the statement it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The statement.
    pub span: Span,
    /// The intention.
    pub kind: ChangeKind,
}

/// The intentions that zdmig knows. Names are as written until the planner resolves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// CREATE TABLE.
    CreateTable {
        /// Its name.
        table: TableName,
        /// Its columns, for statements and files that come after it.
        columns: Vec<NewColumn>,
        /// The columns by which its rows can be walked along.
        key: Vec<Ident>,
        /// Its constraints, as far as they are more than a column's property.
        constraints: Vec<NewConstraint>,
        /// The table that it is a partition of.
        parent: Option<TableName>,
        /// Whether an existing table is to be left alone.
        if_not_exists: bool,
    },
    /// ADD COLUMN.
    AddColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: NewColumn,
        /// Whether an existing column is to be left alone.
        if_not_exists: bool,
    },
    /// RENAME COLUMN.
    RenameColumn {
        /// The column.
        column: ColumnRef,
        /// Its new name.
        to: Ident,
    },
    /// DROP COLUMN.
    DropColumn {
        /// The column.
        column: ColumnRef,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// ALTER COLUMN … SET NOT NULL.
    SetNotNull(ColumnRef),
    /// ALTER COLUMN … DROP NOT NULL.
    DropNotNull(ColumnRef),
    /// ALTER COLUMN … SET DEFAULT.
    SetDefault {
        /// The column.
        column: ColumnRef,
        /// The expression, as written.
        default: String,
        /// Whether it is a literal.
        constant: bool,
    },
    /// ALTER COLUMN … DROP DEFAULT.
    DropDefault(ColumnRef),
    /// ALTER COLUMN … TYPE.
    ChangeType(NewType),
    /// ADD CONSTRAINT, or the same within ADD COLUMN.
    AddConstraint(NewConstraint),
    /// DROP CONSTRAINT.
    DropConstraint {
        /// The table.
        table: TableName,
        /// The constraint.
        name: Ident,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// RENAME of a table, or SET SCHEMA.
    RenameTable {
        /// The table.
        table: TableName,
        /// Its new name; without a schema in the one where it is.
        to: TableName,
    },
    /// DROP TABLE, of all the tables that one statement names.
    DropTable {
        /// The tables.
        tables: Vec<TableName>,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// CREATE INDEX.
    CreateIndex(NewIndex),
    /// DROP INDEX.
    DropIndex {
        /// The index.
        index: TableName,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// UPDATE of a table, with expressions over the row alone, or DELETE, which sets nothing.
    Fill(Fill),
    /// A statement that is run as written, at its time.
    Plain(Plain),
    /// IF EXISTS of an ALTER TABLE: the changes after it are made if the table is there.
    IfTable(TableName),
    /// Anything else, with the reason why it is not understood.
    Opaque(String),
}

/// A column as a statement asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewColumn {
    /// Its name.
    pub name: Ident,
    /// The type, as written; empty where none was.
    pub type_name: String,
    /// COLLATE, as written.
    pub collation: Option<String>,
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT, as written.
    pub default: Option<String>,
    /// Whether the default is a literal.
    pub default_constant: bool,
    /// Whether the default is one value for all rows of a statement, so that the server
    /// need not compute it row by row.
    pub default_stable: bool,
    /// Clauses that are not understood here, as written.
    pub others: Vec<String>,
    /// The statement that adds this column alone, constraints apart; empty where the column
    /// is part of a table.
    pub statement: String,
    /// How a sequence counts it up, where that is all that makes it more than a plain column.
    pub counter: Option<Counter>,
}

/// A column that a sequence counts up, as a statement asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The column's type without the sequence.
    pub type_name: String,
    /// How it is to count, as written.
    pub options: String,
    /// The clause that makes it an identity, as written; `None` where the sequence is only its
    /// default.
    pub identity: Option<String>,
    /// What the server calls the sequence, if that name is free.
    pub sequence: Ident,
}

/// A column's type as a statement asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewType {
    /// The column.
    pub column: ColumnRef,
    /// The type, as written.
    pub type_name: String,
    /// COLLATE, as written.
    pub collation: Option<String>,
    /// USING, as written.
    pub using: Option<String>,
    /// The statement for this column alone.
    pub sql: String,
}

/// A constraint as a statement asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConstraint {
    /// The table.
    pub table: TableName,
    /// Its name: the author's, or the one that the server would choose if it is free.
    pub name: Ident,
    /// Whether the author chose the name.
    pub named: bool,
    /// What it demands.
    pub kind: ConstraintKind,
    /// The columns of the table that it mentions, as far as they can be read.
    pub columns: Vec<Ident>,
    /// The clause without its name, as it would stand in ALTER TABLE … ADD.
    pub definition: String,
    /// The table that a foreign key points to.
    pub references: Option<TableName>,
    /// The columns there; empty where the author left it at the primary key.
    pub keys: Vec<Ident>,
    /// The condition of a check, where rows that exist must obey it.
    pub condition: Option<String>,
    /// NOT VALID was written: rows that exist are not to be checked.
    pub not_valid: bool,
    /// USING INDEX: the index that exists already.
    pub using_index: Option<Ident>,
}

/// An index as a statement asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIndex {
    /// Its name.
    pub name: Option<Ident>,
    /// The table it is on.
    pub table: TableName,
    /// UNIQUE.
    pub unique: bool,
    /// CONCURRENTLY was written.
    pub concurrently: bool,
    /// IF NOT EXISTS was written.
    pub if_not_exists: bool,
    /// The key columns, where all keys are plain columns.
    pub keys: Vec<Ident>,
    /// Every name that stands in the keys, included columns and predicate.
    pub mentions: Vec<Ident>,
    /// The statement, as written.
    pub definition: String,
    /// Where CONCURRENTLY would have to be put.
    pub insert_at: u32,
    /// UNIQUE only for some rows.
    pub partial: bool,
    /// ONLY was written: partitions get none by this statement.
    pub only: bool,
    /// What the server calls an index after that has no name: its keys and included columns.
    pub shown: String,
    /// What it holds, where that is more than columns.
    pub computes: Option<Computed>,
}

/// What a statement computes, as a query that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    /// The query.
    pub query: String,
    /// The columns of the table that get what it gives, in its order; empty where none do.
    pub columns: Vec<Ident>,
}

/// An `UPDATE table SET column = expression [WHERE condition]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The table.
    pub table: TableName,
    /// What is set to what; expressions as written.
    pub set: Vec<(Ident, Span)>,
    /// The expression, where it is nothing but a column, as that column.
    pub plain: Vec<Option<Ident>>,
    /// The condition, as written.
    pub condition: Option<Span>,
    /// Why it cannot be cut into chunks, if so: FROM, RETURNING, a CTE, …
    pub whole: Option<String>,
    /// Whether ONLY was written: rows of tables that inherit are not meant.
    pub only: bool,
    /// What it sets, where it is not cut into chunks.
    pub computes: Option<Computed>,
}

impl Fill {
    /// Whether no row is left after it.
    pub fn deletes_all(&self) -> bool {
        self.set.is_empty() && self.condition.is_none() && self.whole.is_none() && !self.only
    }
}

impl ChangeKind {
    /// Whether it is about a table as such, and not about its columns or what hangs on it.
    pub fn is_of_whole_table(&self) -> bool {
        matches!(
            self,
            Self::CreateTable { .. }
                | Self::RenameTable { .. }
                | Self::DropTable { .. }
                | Self::Plain(_)
                | Self::Opaque(_)
        )
    }

    /// The table a change is about, as written.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Self::CreateTable { table, .. }
            | Self::AddColumn { table, .. }
            | Self::DropConstraint { table, .. }
            | Self::RenameTable { table, .. }
            | Self::IfTable(table) => Some(table),
            Self::RenameColumn { column, .. }
            | Self::DropColumn { column, .. }
            | Self::SetDefault { column, .. }
            | Self::SetNotNull(column)
            | Self::DropNotNull(column)
            | Self::DropDefault(column) => Some(&column.table),
            Self::ChangeType(change) => Some(&change.column.table),
            Self::AddConstraint(constraint) => Some(&constraint.table),
            Self::CreateIndex(index) => Some(&index.table),
            Self::Fill(fill) => Some(&fill.table),
            Self::Plain(plain) => plain.on.as_ref(),
            Self::DropTable { tables, .. } => match tables.as_slice() {
                [table] => Some(table),
                _ => None,
            },
            Self::DropIndex { .. } | Self::Opaque(_) => None,
        }
    }
}
