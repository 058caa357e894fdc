//! Tables that are renamed or go.

use super::{alter, asks, locks, quote, regclass, run, step};
use crate::catalog::{Catalog, Grant};
use crate::plan::{AliasColumn, AttachPartition, Expect, Lowered, RenameTable, RetireTables, Undo};
use crate::sql::{Ident, Sql, TableName};

/// A name in the schema of a table.
fn beside(table: &TableName, name: &Ident) -> TableName {
    TableName { schema: table.schema.clone(), name: name.clone() }
}

/// A view that stands for a table, with the table's privileges.
fn view(alias: &TableName, query: &str, grants: &[Grant], catalog: &Catalog) -> Vec<String> {
    let alias = quote::table(alias);
    // Before version 15 a view always reads with its owner's rights.
    let invoker =
        if catalog.server.at_least(15, 0) { " WITH (security_invoker = true)" } else { "" };
    let mut sql = vec![format!("CREATE VIEW {alias}{invoker} AS {query}")];
    for grant in grants {
        let role = grant.role.as_ref().map_or_else(|| "PUBLIC".into(), quote::ident);
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        sql.push(format!("GRANT {} ON {alias} TO {role}{option}", grant.privilege));
    }
    sql
}

/// The view under a table's old name.
fn old_name(one: &RenameTable, catalog: &Catalog) -> Vec<String> {
    let query = format!("SELECT * FROM {}", quote::table(&one.from.renamed(&one.to)));
    view(&one.from, &query, &one.grants, catalog)
}

/// The view in which a column has both of its names.
fn both_names(one: &AliasColumn, catalog: &Catalog) -> Vec<String> {
    let query = format!(
        "SELECT *, {} AS {} FROM {}",
        quote::ident(&one.to),
        quote::ident(&one.column.column),
        quote::table(&beside(&one.column.table, &one.base))
    );
    view(&one.column.table, &query, &one.grants, catalog)
}

/// RENAME COLUMN in place, behind a view that shows the column under both names.
pub(super) fn alias_column(one: &AliasColumn, catalog: &Catalog) -> Lowered {
    let table = &one.column.table;
    let base = beside(table, &one.base);
    let (from, to) = (quote::ident(&one.column.column), quote::ident(&one.to));
    let mut sql = vec![
        format!("{} RENAME COLUMN {from} TO {to}", alter(table)),
        format!("{} RENAME TO {}", alter(table), quote::ident(&one.base)),
    ];
    sql.extend(both_names(one, catalog));
    let undo = [
        format!("DROP VIEW IF EXISTS {}", quote::table(table)),
        format!("{} RENAME TO {}", alter(&base), quote::ident(&table.name)),
        format!("{} RENAME COLUMN {to} TO {from}", alter(table)),
    ];
    step(
        sql,
        asks(format!("SELECT 1 WHERE {} IS NOT NULL", regclass(&base)), Expect::Rows),
        Undo::Run(undo.into_iter().map(Sql::new).collect()),
    )
}

/// The view goes, and the table has its name back.
pub(super) fn drop_column_alias(one: &AliasColumn, catalog: &Catalog) -> Lowered {
    let table = &one.column.table;
    let base = beside(table, &one.base);
    let mut undo = vec![format!("{} RENAME TO {}", alter(table), quote::ident(&one.base))];
    undo.extend(both_names(one, catalog));
    step(
        vec![
            format!("DROP VIEW IF EXISTS {}", quote::table(table)),
            format!("{} RENAME TO {}", alter(&base), quote::ident(&table.name)),
        ],
        asks(format!("SELECT 1 WHERE {} IS NULL", regclass(&base)), Expect::Rows),
        Undo::Run(undo.into_iter().map(Sql::new).collect()),
    )
}

/// ATTACH PARTITION; the checks go with the same locks.
pub(super) fn attach(one: &AttachPartition) -> Lowered {
    let mut sql = vec![one.statement.to_string()];
    for (table, check) in &one.checks {
        sql.push(format!("{} DROP CONSTRAINT {}", alter(table), quote::ident(check)));
    }
    let landed = asks(
        format!(
            "SELECT 1 FROM pg_inherits WHERE inhparent = {} AND inhrelid = {}",
            regclass(&one.table),
            regclass(&one.part)
        ),
        Expect::Rows,
    );
    let undo = format!("{} DETACH PARTITION {}", alter(&one.table), quote::table(&one.part));
    let mut lowered = step(sql, landed, run(undo));
    lowered.note = Some("no scan: the valid checks prove where the rows belong".into());
    lowered
}

/// RENAME or SET SCHEMA, and the view that stands for the old name.
pub(super) fn rename(one: &RenameTable, catalog: &Catalog) -> Lowered {
    let to = one.from.renamed(&one.to);
    let moved = |from: &TableName, to: &TableName| match &to.schema {
        Some(schema) if to.schema != from.schema => {
            format!("{} SET SCHEMA {}", alter(from), quote::ident(schema))
        }
        _ => format!("{} RENAME TO {}", alter(from), quote::ident(&to.name)),
    };
    let mut sql = vec![moved(&one.from, &to)];
    let mut undo = vec![Sql::new(moved(&to, &one.from))];
    if one.alias {
        sql.extend(old_name(one, catalog));
        undo.insert(0, Sql::new(format!("DROP VIEW IF EXISTS {}", quote::table(&one.from))));
    }
    step(
        sql,
        asks(format!("SELECT 1 WHERE {} IS NOT NULL", regclass(&to)), Expect::Rows),
        Undo::Run(undo),
    )
}

/// The old name goes.
pub(super) fn drop_alias(one: &RenameTable, catalog: &Catalog) -> Lowered {
    step(
        vec![format!("DROP VIEW IF EXISTS {}", quote::table(&one.from))],
        asks(format!("SELECT 1 WHERE {} IS NULL", regclass(&one.from)), Expect::Rows),
        Undo::Run(old_name(one, catalog).into_iter().map(Sql::new).collect()),
    )
}

/// Tables that are renamed away.
pub(super) fn retire(one: &RetireTables) -> Lowered {
    let rename =
        |from: &TableName, to: &Ident| format!("{} RENAME TO {}", alter(from), quote::ident(to));
    let there = one
        .tables
        .iter()
        .map(|(table, retired)| format!("{} IS NOT NULL", regclass(&beside(table, retired))));
    let there = there.collect::<Vec<_>>().join(" AND ");
    let back = one
        .tables
        .iter()
        .rev()
        .map(|(table, retired)| Sql::new(rename(&beside(table, retired), &table.name)));
    let mut lowered = step(
        one.tables.iter().map(|(table, retired)| rename(table, retired)).collect(),
        asks(format!("SELECT 1 WHERE {there}"), Expect::Rows),
        Undo::Run(back.collect()),
    );
    lowered.note = Some("renamed away with all its rows; a restore names it back".into());
    lowered
}

/// The real drop.
pub(super) fn drop(one: &RetireTables, catalog: &Catalog) -> Lowered {
    let names: Vec<_> =
        one.tables.iter().map(|(table, retired)| quote::table(&beside(table, retired))).collect();
    let gone = one
        .tables
        .iter()
        .map(|(table, retired)| format!("{} IS NULL", regclass(&beside(table, retired))));
    let gone = gone.collect::<Vec<_>>().join(" AND ");
    let mut lowered = step(
        vec![format!("DROP TABLE {}", names.join(", "))],
        asks(format!("SELECT 1 WHERE {gone}"), Expect::Rows),
        Undo::Impossible,
    );
    // The catalogue knows the tables by their own names, and with them their partitions. What
    // they pointed to was let go when they were retired.
    let named: Vec<_> = one.tables.iter().map(|(table, _)| quote::table(table)).collect();
    lowered.locks = locks::of(&[Sql::new(format!("DROP TABLE {}", named.join(", ")))], catalog);
    let known: Vec<_> = one.tables.iter().filter_map(|(table, _)| catalog.find(table)).collect();
    lowered.locks.retain(|lock| {
        let parts = known.iter().flat_map(|table| &table.partitions);
        let mut own = known.iter().map(|table| &table.name).chain(parts);
        own.any(|name| name.to_string() == lock.object)
    });
    for (table, retired) in &one.tables {
        let known = catalog.find(table).map_or(table, |found| &found.name).to_string();
        for lock in lowered.locks.iter_mut().filter(|lock| lock.object == known) {
            lock.object = beside(table, retired).to_string();
        }
    }
    lowered.note = Some("for good, with all rows".into());
    lowered
}
