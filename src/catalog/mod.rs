//! Floor 1: what a database holds, as a value. Read by a dialect, never from SQL text.

mod object;
mod server;
mod snapshot;
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use object::{Held, Object};
pub use server::Server;
pub use snapshot::{Snapshot, SnapshotError};
pub use table::{
    Column, Constraint, ConstraintKind, Default, Dependent, DependentKind, Grant, Index, Mark,
    Setting, Table, TableKind, Trigger,
};

use crate::sql::{Ident, TableName};

/// The tables an application can see, and the server that keeps them. Bookkeeping of ours
/// is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The server.
    pub server: Server,
    /// The schemas an unqualified name is looked up in, first one first; empty where the
    /// database has no schemas.
    pub search_path: Vec<Ident>,
    /// Every table, by its full name.
    pub tables: BTreeMap<TableName, Table>,
    /// Everything beside the tables, as far as the product has it.
    pub objects: Vec<Object>,
    /// Who may do what, as far as the product has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// Whether names that differ only in case are the same name.
    pub case_insensitive: bool,
}

impl Catalog {
    /// The table an author means by `name`.
    pub fn find(&self, name: &TableName) -> Option<&Table> {
        if self.case_insensitive {
            return self.tables.values().find(|table| self.same(&table.name.name, &name.name));
        }
        if name.schema.is_some() {
            return self.tables.get(name);
        }
        self.search_path.iter().find_map(|schema| {
            self.tables.get(&TableName { schema: Some(schema.clone()), name: name.name.clone() })
        })
    }

    /// The full name that a new table of that name would get.
    pub fn placed(&self, name: &TableName) -> TableName {
        let schema = name.schema.clone().or_else(|| self.search_path.first().cloned());
        TableName { schema, name: name.name.clone() }
    }

    /// The index of that name, with its table.
    pub fn index(&self, name: &TableName) -> Option<(&Table, &Index)> {
        self.tables.values().find_map(|table| {
            let in_schema = match &name.schema {
                Some(schema) => table.name.schema.as_ref() == Some(schema),
                None => true,
            };
            let index = table.indexes.iter().find(|index| self.same(&index.name, &name.name))?;
            in_schema.then_some((table, index))
        })
    }

    /// A column of `table`, by the server's own rule for comparing names.
    pub fn column<'a>(&self, table: &'a Table, name: &Ident) -> Option<&'a Column> {
        table.columns.iter().find(|column| self.same(&column.name, name))
    }

    fn same(&self, a: &Ident, b: &Ident) -> bool {
        a == b || self.case_insensitive && a.as_str().eq_ignore_ascii_case(b.as_str())
    }

    /// Tables and columns whose names are near `name`, for "did you mean".
    pub fn near<'a>(&self, name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let wanted = name.to_lowercase();
        among
            .filter(|candidate| distance(&candidate.to_lowercase(), &wanted) <= 2)
            .min_by_key(|candidate| (distance(&candidate.to_lowercase(), &wanted), *candidate))
    }
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = corner + usize::from(ca != *cb);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance() {
        for (a, b, expected) in [("users", "users", 0), ("user", "users", 1), ("email", "mail", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
