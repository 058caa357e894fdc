use std::fmt;

use serde::{Deserialize, Serialize};

/// A name as the catalogue stores it: folded and unquoted. Only a dialect can quote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ident(String);

impl Ident {
    /// Takes a name that is already folded and unquoted.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The bare name, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table, with its schema where the database has schemas.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct TableName {
    /// The schema; `None` where the database has none, or where it was not written.
    pub schema: Option<Ident>,
    /// The table's own name.
    pub name: Ident,
}

impl TableName {
    /// A table in a schema.
    pub fn new(schema: Option<&str>, name: &str) -> Self {
        Self { schema: schema.map(Ident::new), name: Ident::new(name) }
    }

    /// Its name after a rename: where it is, unless a schema is named.
    #[must_use]
    pub fn renamed(&self, to: &Self) -> Self {
        let schema = to.schema.clone().or_else(|| self.schema.clone());
        Self { schema, name: to.name.clone() }
    }
}

/// For people, and for the keys of JSON objects: dots inside a name are doubled, so that
/// the text can be read back.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", schema.as_str().replace('.', ".."))?;
        }
        f.write_str(&self.name.as_str().replace('.', ".."))
    }
}

impl From<TableName> for String {
    fn from(table: TableName) -> Self {
        table.to_string()
    }
}

impl From<String> for TableName {
    fn from(text: String) -> Self {
        let mut parts = vec![String::new()];
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let last = parts.len() - 1;
            if c != '.' {
                parts[last].push(c);
            } else if chars.next_if_eq(&'.').is_some() {
                parts[last].push('.');
            } else {
                parts.push(String::new());
            }
        }
        let name = Ident::new(parts.pop().unwrap_or_default());
        Self { schema: parts.pop().map(Ident::new), name }
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnRef {
    /// The table it belongs to.
    pub table: TableName,
    /// The column's own name.
    pub column: Ident,
}

impl ColumnRef {
    /// A column of `table`.
    pub fn new(table: &TableName, column: &Ident) -> Self {
        Self { table: table.clone(), column: column.clone() }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_survives_its_text() {
        for (schema, name) in [(None, "users"), (Some("public"), "users"), (Some("a.b"), "c..d")] {
            let table = TableName::new(schema, name);
            assert_eq!(TableName::from(String::from(table.clone())), table);
        }
    }
}
