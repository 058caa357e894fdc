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
    /// The statements that would make it; empty where the server cannot tell.
    pub definition: String,
}
