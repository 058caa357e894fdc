//! What a fill does, and how it is proved.

use serde::{Deserialize, Serialize};

use super::action::Expr;
use crate::catalog::Column;
use crate::sql::{Ident, Sql, TableName};

/// The background fill of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillRows {
    /// The table.
    pub table: TableName,
    /// How it gets over the table.
    #[serde(default)]
    pub walk: Walk,
    /// The columns of a unique key, with their types; empty where there is none and none is
    /// needed.
    pub key: Vec<(Ident, String)>,
    /// What is set; where nothing is, and nothing copied, the rows are deleted.
    pub set: Vec<Assignment>,
    /// Which rows still need it.
    pub pending: Pending,
    /// The triggers whose work it does, by their tag: they alone know it for a fill.
    pub does_for: Option<String>,
    /// Where its rows are copied to, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyRows>,
}

/// Another table that gets what a query finds of each row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRows {
    /// The table.
    pub into: TableName,
    /// The author's INSERT, up to the condition of its query.
    pub head: Sql,
    /// What comes after the condition.
    pub tail: Option<Sql>,
}

/// How a fill gets over a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Walk {
    /// Along the key, in its order: no row that is there throughout is missed, whoever moves it.
    #[default]
    Key,
    /// By where rows lie, a window of the table after the other. A row that somebody moves
    /// meanwhile may be missed, so triggers must fill whatever is written.
    Pages {
        /// How many times it goes over each window, each time for another share of the rows,
        /// so that a page has room for what is written next to what it replaces.
        passes: u32,
    },
}

/// One column of a fill and what it is set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The column.
    pub column: Ident,
    /// Its type, which decides how values are compared.
    pub type_name: String,
    /// Its collation, for the same reason.
    pub collation: Option<String>,
    /// What it is set to.
    pub value: Expr,
}

/// Which rows a fill still has to touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pending {
    /// Those whose column differs from the expression.
    Differs,
    /// Those whose column is NULL, and for which the author's condition holds.
    Null(Option<Sql>),
    /// Those for which the author's condition holds.
    Where(Option<Sql>),
}

/// A proof by reading every row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// The table.
    pub table: TableName,
    /// What no row may break.
    pub rule: VerifyRule,
    /// The fill that is run again for rows that do; `None` when that would not help.
    pub repair: Option<FillRows>,
}

/// What no row may break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyRule {
    /// The column equals the expression.
    Equal(Assignment),
    /// The column is not NULL where the expression is not, under the author's condition.
    Filled(Assignment, Option<Sql>),
    /// The column is not NULL.
    NotNull(Ident),
    /// No two rows agree in all these columns, NULLs apart.
    Distinct(Vec<Ident>),
    /// The author's condition is not false.
    Holds(Sql),
    /// What the columns hold is there in the columns of the other table, NULLs apart.
    Refers {
        /// The columns.
        columns: Vec<Ident>,
        /// The other table.
        table: TableName,
        /// Its columns.
        keys: Vec<Ident>,
    },
    /// The expression fails for no row for which the author's condition holds.
    Converts(Assignment, Option<Sql>),
    /// The query, which changes nothing, can be computed to its end.
    Computes {
        /// The query.
        query: Sql,
        /// What its columns are called here; empty where that does not matter.
        columns: Vec<Ident>,
        /// Those that are never NULL.
        given: Vec<Ident>,
    },
}

/// Columns that were filled, and of which the server knows nothing yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analyze {
    /// The table.
    pub table: TableName,
    /// The columns; none where all of its rows are new.
    pub columns: Vec<Ident>,
}

impl FillRows {
    /// Whether rows are deleted.
    pub fn deletes(&self) -> bool {
        self.set.is_empty() && self.copy.is_none()
    }

    /// The columns that are set, joined for a person.
    pub fn columns(&self, with: &str) -> String {
        let names: Vec<_> = self.set.iter().map(|one| one.column.as_str()).collect();
        names.join(with)
    }
}

impl VerifyRule {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Equal(_) => "equal",
            Self::Filled(..) => "filled",
            Self::NotNull(_) => "not-null",
            Self::Distinct(_) => "distinct",
            Self::Holds(_) => "holds",
            Self::Refers { .. } => "refers",
            Self::Converts(..) => "converts",
            Self::Computes { .. } => "computes",
        }
    }

    pub(super) fn columns(&self) -> String {
        match self {
            Self::Equal(one) | Self::Filled(one, _) | Self::Converts(one, _) => {
                one.column.to_string()
            }
            Self::Holds(_) | Self::Computes { .. } => "rows".into(),
            Self::NotNull(column) => column.to_string(),
            Self::Distinct(columns) | Self::Refers { columns, .. } => {
                columns.iter().map(Ident::as_str).collect::<Vec<_>>().join("+")
            }
        }
    }
}

impl Assignment {
    /// An assignment to a column that the catalogue knows.
    pub fn to(column: &Column, value: Expr) -> Self {
        Self {
            column: column.name.clone(),
            type_name: column.type_name.clone(),
            collation: column.collation.clone(),
            value,
        }
    }
}
