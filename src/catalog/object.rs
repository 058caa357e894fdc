use serde::{Deserialize, Serialize};

use crate::sql::{Ident, TableName};

/// Something in the database that is neither a table nor a part of one, and the statements
/// that would make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What it is, in the server's own word: `function`, `type`, `extension`.
    pub kind: String,
    /// Its name; without a schema where it has none.
    pub name: TableName,
    /// The table it hangs on.
    pub on: Option<Ident>,
    /// The arguments that tell a function from others of its name.
    pub arguments: Option<String>,
    /// The statement that would make it; empty where the server cannot tell.
    pub definition: String,
    /// Statements that say the rest of it: its owner, its comments, its parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
}

/// What one role may do with one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What it is: `table`, `sequence`, `routine`, `type`, `schema`.
    pub kind: String,
    /// Its name; without a schema where it has none.
    pub name: TableName,
    /// The arguments that tell a routine from others of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// The column, where it is about one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<Ident>,
    /// Whether the role owns it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owner: bool,
    /// The role; `None` for everybody.
    pub role: Option<Ident>,
    /// The privileges in the server's own words.
    pub privileges: Vec<String>,
    /// Those among them that may be passed on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grantable: Vec<String>,
}
