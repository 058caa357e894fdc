//! Rows for tables that have none: a few that their constraints accept, made from the
//! catalogue alone.

use std::collections::BTreeMap;

use zdmig::catalog::{Catalog, ConstraintKind, Table, TableKind};
use zdmig::dialect::Client;

use crate::support::Database;

const ROWS: usize = 3;

/// Fills every empty table as far as its constraints let it; tables that others point to
/// come first.
pub async fn seed(database: &Database) {
    let catalog = database.session().await.catalog().await.expect("a catalogue");
    let mut client = database.client().await;
    let labels = labels(&mut *client).await;
    for table in in_order(&catalog) {
        if table.kind != TableKind::Ordinary || table.bytes > 0 {
            continue;
        }
        for number in 1..=ROWS {
            // What a check or a key does not accept is left out.
            let _ = client.script(&row(table, number, &labels)).await;
        }
    }
}

pub fn in_order(catalog: &Catalog) -> Vec<&Table> {
    let mut ordered: Vec<&Table> = Vec::new();
    let mut waiting: Vec<&Table> = catalog.tables.values().collect();
    while !waiting.is_empty() {
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.iter().partition(|table| {
            table.constraints.iter().filter_map(|one| one.references.as_ref()).all(|parent| {
                parent.name == table.name.name
                    || ordered.iter().any(|done| done.name.name == parent.name)
                    || catalog.find(parent).is_none()
            })
        });
        if ready.is_empty() {
            ordered.extend(rest);
            break;
        }
        ordered.extend(ready);
        waiting = rest;
    }
    ordered
}

pub async fn labels(client: &mut dyn Client) -> BTreeMap<String, String> {
    let query = "SELECT t.typname, min(e.enumlabel) FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid \
                 WHERE e.enumsortorder = (SELECT min(enumsortorder) FROM pg_enum f WHERE f.enumtypid = t.oid) GROUP BY 1";
    let rows = client.rows(query, &[]).await.expect("the enums");
    rows.into_iter().filter_map(|row| Some((row.first()?.clone()?, row.get(1)?.clone()?))).collect()
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statement that inserts the row of a number, every column named.
pub fn row(table: &Table, number: usize, labels: &BTreeMap<String, String>) -> String {
    let mut names = Vec::new();
    let mut values = Vec::new();
    for column in &table.columns {
        let own = column.peculiar.iter().any(|why| why.contains("generated"));
        let sequence =
            column.peculiar.iter().any(|why| why.contains("sequence") || why.contains("identity"));
        if own || sequence {
            continue;
        }
        let points = table
            .constraints
            .iter()
            .find(|one| one.kind == ConstraintKind::Foreign && one.columns.contains(&column.name));
        let value = match points.and_then(|one| pointed(one, column.name.as_str(), number)) {
            Some(value) => value,
            None => value(&column.type_name, number, labels),
        };
        names.push(quoted(column.name.as_str()));
        values.push(value);
    }
    let schema = table.name.schema.as_ref().map_or("public", |schema| schema.as_str());
    format!(
        "INSERT INTO {}.{} ({}) VALUES ({})",
        quoted(schema),
        quoted(table.name.name.as_str()),
        names.join(", "),
        values.join(", ")
    )
}

/// A value that the table on the other side has.
fn pointed(one: &zdmig::catalog::Constraint, column: &str, number: usize) -> Option<String> {
    let (_, rest) = one.definition.split_once(" REFERENCES ")?;
    let (parent, rest) = rest.split_once('(')?;
    let theirs: Vec<_> = rest.split(')').next()?.split(", ").collect();
    let at = one.columns.iter().position(|name| name.as_str() == column)?;
    Some(format!(
        "(SELECT {} FROM {parent} ORDER BY 1 OFFSET {} LIMIT 1)",
        theirs.get(at)?,
        (number - 1) % ROWS
    ))
}

/// The value of a number, as far as the type tells them apart.
pub fn value(type_name: &str, number: usize, labels: &BTreeMap<String, String>) -> String {
    let bare = type_name.rsplit('.').next().unwrap_or(type_name).trim_matches('"');
    if type_name.ends_with("[]") {
        return "'{}'".into();
    }
    if let Some(label) = labels.get(bare) {
        return format!("'{}'", label.replace('\'', "''"));
    }
    let base = type_name.split('(').next().unwrap_or_default();
    match base {
        "integer" | "bigint" | "smallint" | "numeric" | "real" | "double precision" => {
            number.to_string()
        }
        "boolean" => (number % 2 == 1).to_string(),
        "json" | "jsonb" => format!("'{{\"n\": {number}}}'"),
        "uuid" => format!("'00000000-0000-4000-8000-{number:012}'"),
        "bytea" => format!("'\\x{number:08x}'"),
        "date" => format!("(date '2026-01-01' + {number})"),
        "timestamp" | "timestamp without time zone" | "timestamp with time zone" => {
            format!("(timestamp '2026-01-01 12:00:00' + interval '{number} hours')")
        }
        "time" | "time without time zone" | "time with time zone" => {
            format!("(time '00:00:00' + interval '{number} seconds')")
        }
        "interval" => format!("'{number} hours'"),
        "inet" | "cidr" => format!("'10.0.{}.{}'", number / 256 % 256, number % 256),
        _ => format!("'v{number}'"),
    }
}
