//! Floor 0: the words every other floor speaks. No parsing, no quoting, no I/O.

mod ident;
mod span;
mod text;

pub use ident::{ColumnRef, Ident, TableName};
pub use span::{Place, Span};
pub use text::{Sql, mentions, without_literals, without_values};
