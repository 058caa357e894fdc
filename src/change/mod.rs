//! Floor 2: what the author meant, whatever the product they wrote it for.

mod evolve;

use crate::sql::{ColumnRef, Ident, Span, TableName};

pub use evolve::EvolveError;

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
        /// Tables its foreign keys point to.
        references: Vec<TableName>,
        /// Whether an existing table is to be left alone.
        if_not_exists: bool,
    },
    /// ADD COLUMN.
    AddColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: NewColumn,
    },
    /// RENAME COLUMN.
    RenameColumn {
        /// The column.
        column: ColumnRef,
        /// Its new name.
        to: Ident,
    },
    /// DROP COLUMN.
    DropColumn(ColumnRef),
    /// ALTER COLUMN … SET NOT NULL.
    SetNotNull(ColumnRef),
    /// CREATE INDEX.
    CreateIndex(NewIndex),
    /// DROP INDEX.
    DropIndex(TableName),
    /// UPDATE of a table, with expressions over the row alone.
    Fill(Fill),
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
}

impl ChangeKind {
    /// The table a change is about, as written.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Self::CreateTable { table, .. } | Self::AddColumn { table, .. } => Some(table),
            Self::RenameColumn { column, .. }
            | Self::DropColumn(column)
            | Self::SetNotNull(column) => Some(&column.table),
            Self::CreateIndex(index) => Some(&index.table),
            Self::Fill(fill) => Some(&fill.table),
            Self::DropIndex(_) | Self::Opaque(_) => None,
        }
    }
}
