//! From statements to intentions: statements that only make sense together are put
//! together here, so that `ADD COLUMN` + `UPDATE` + `DROP COLUMN` is one change.

mod derive;
mod fill;
mod read;
mod retype;
mod section;
mod words;

use crate::change::{ChangeKind, Fill, NewColumn, NewConstraint, NewIndex, NewType, Plain};
use crate::plan::Expr;
use crate::sql::{ColumnRef, Ident, Span, Sql, TableName};

pub(super) use read::{opaque, read};
pub(super) use words::Words;

/// One intention, with the statement that a message about it points to.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    /// The statement.
    pub(super) span: Span,
    /// Its number in the file, from one.
    pub(super) number: usize,
    /// What is intended.
    pub(super) kind: IntentKind,
    /// The changes it stands for, for the catalogue after it.
    pub(super) changes: Vec<ChangeKind>,
    /// Every word of its statements.
    pub(super) words: Words,
    /// Settings that the file makes before it.
    pub(super) settings: Vec<Sql>,
}

/// What is intended. Tables and columns bear their catalogue names.
#[derive(Clone, Debug)]
pub(super) enum IntentKind {
    /// A new table.
    CreateTable(TableName),
    /// A statement about a table that this file creates.
    WithinNew(TableName),
    /// A statement that has nothing to do here.
    Nothing,
    /// A new column, with what rows that exist get.
    AddColumn { table: TableName, column: NewColumn, fill: Option<RowFill> },
    /// A column that takes the place of another.
    Replace(Box<Replace>),
    /// Columns that take the place of others, several on one side or on both.
    Derive(Vec<Derive>),
    /// A column that goes.
    DropColumn(ColumnRef),
    /// A column that becomes NOT NULL.
    SetNotNull { column: ColumnRef, fill: Option<RowFill> },
    /// A column that may be NULL.
    DropNotNull(ColumnRef),
    /// Another default.
    SetDefault { column: ColumnRef, default: String },
    /// No default any more.
    DropDefault(ColumnRef),
    /// Other types for columns of one table.
    ChangeTypes { table: TableName, columns: Vec<TypeChange> },
    /// A new constraint.
    AddConstraint(NewConstraint),
    /// A constraint that goes.
    DropConstraint { table: TableName, name: Ident },
    /// A table under another name.
    RenameTable { table: TableName, to: TableName },
    /// Tables that go.
    DropTables(Vec<TableName>),
    /// Rows that change.
    Update(Fill),
    /// A statement that is run as written.
    Plain(Plain),
    /// Statements that only mean something in one session.
    Together(Vec<Sql>),
    /// A new index.
    CreateIndex(NewIndex),
    /// An index that goes.
    DropIndex { table: TableName, index: Ident },
    /// The author's own expand.
    Expand,
    /// The author's own backfill.
    Backfill { fill: Fill, key: Option<Ident> },
    /// The author's own contract.
    Contract { uses: Vec<ColumnRef> },
    /// A statement that is not understood.
    Opaque(String),
}

/// Another type for a column, and what becomes of its default on the way.
#[derive(Clone, Debug)]
pub(super) struct TypeChange {
    /// The type.
    pub(super) new: NewType,
    /// Whether the default is dropped before.
    pub(super) drops_default: bool,
    /// The default that is set after, and whether it is a literal.
    pub(super) default: Option<(String, bool)>,
}

/// What rows get, as the author's UPDATE says.
#[derive(Clone, Debug)]
pub(super) struct RowFill {
    /// The value.
    pub(super) value: Expr,
    /// The author's WHERE.
    pub(super) condition: Option<Sql>,
}

/// A rename, or the three statements that amount to one.
#[derive(Clone, Debug)]
pub(super) struct Replace {
    /// The table.
    pub(super) table: TableName,
    /// The column that goes.
    pub(super) old: Ident,
    /// The column that comes.
    pub(super) new: Ident,
    /// Its definition; `None` for a rename, where it is that of the old one.
    pub(super) definition: Option<NewColumn>,
    /// Whether it must be NOT NULL in the end.
    pub(super) not_null: bool,
    /// New from old.
    pub(super) forward: Expr,
    /// Old from new.
    pub(super) reverse: Option<Expr>,
    /// Whether the author said that old readers need no new values.
    pub(super) no_sync: bool,
    /// The author's WHERE.
    pub(super) condition: Option<Sql>,
}

/// Columns that are filled from others, which are dropped.
#[derive(Clone, Debug)]
pub(super) struct Derive {
    /// The table.
    pub(super) table: TableName,
    /// The columns that come.
    pub(super) columns: Vec<NewColumn>,
    /// The columns that go.
    pub(super) olds: Vec<Ident>,
    /// Each new column from the old ones.
    pub(super) forward: Vec<(Ident, Expr)>,
    /// Old columns from the new ones, as far as the author says how.
    pub(super) reverse: Vec<(Ident, Expr)>,
    /// Whether the author said that old readers need no new values.
    pub(super) no_sync: bool,
    /// The author's WHERE.
    pub(super) condition: Option<Sql>,
}

impl Replace {
    /// RENAME COLUMN.
    fn rename(old: &ColumnRef, to: &Ident, not_null: bool) -> Self {
        Self {
            table: old.table.clone(),
            old: old.column.clone(),
            new: to.clone(),
            definition: None,
            not_null,
            forward: Expr::Column(old.column.clone()),
            reverse: Some(Expr::Column(to.clone())),
            no_sync: false,
            condition: None,
        }
    }
}
