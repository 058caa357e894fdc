//! Columns that are computed from others, which they take the place of: one that is split,
//! several that are merged, a document that is spread out.

use serde::{Deserialize, Serialize};

use super::action::Expr;
use crate::catalog::Column;
use crate::sql::{Ident, Sql};

/// Columns that stand for the same values as others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// The columns of the old code.
    pub olds: Vec<Column>,
    /// The columns of the new code.
    pub news: Vec<Column>,
    /// Each new column from the old ones.
    pub forward: Vec<(Ident, Expr)>,
    /// Each old column that can be, from the new ones.
    pub reverse: Vec<(Ident, Expr)>,
    /// The defaults of new columns, which get their own when the old ones go.
    pub defaults: Vec<StandIn>,
    /// The author's WHERE: in other rows nothing follows from the old columns.
    pub condition: Option<Sql>,
    /// The hidden column that says which rows are still to be computed.
    pub mark: Ident,
}

/// A default that the triggers stand in for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// The column.
    pub column: Ident,
    /// The default, as the author wrote it.
    pub value: String,
    /// Whether NULL is no value for it at all, from whichever side it comes.
    pub required: bool,
}

impl Derived {
    /// The columns' names, for a step's own.
    pub(super) fn names(&self) -> String {
        let joined = |columns: &[Column]| {
            columns.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join("+")
        };
        format!("{}-{}", joined(&self.olds), joined(&self.news))
    }
}
