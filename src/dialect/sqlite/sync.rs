//! The triggers that keep columns of a row in step.
//!
//! A trigger here cannot change the row on its way in, so it changes it right after, in the
//! same statement, which fires the other trigger. That one must not take it for a write of
//! the application, and it can tell by the values alone: a change that leaves the row in
//! agreement came from a trigger, or needs none. So each writes only where the other column
//! does not agree yet, and there is no state that a failed statement could leave behind.
//! Values are compared with `COLLATE BINARY`, or a change of case in a `NOCASE` column would
//! not be seen.

use super::quote;
use crate::catalog::{Column, Table};
use crate::plan::{Expr, Sync, SyncKind};
use crate::sql::{Ident, Sql};

fn trigger(sync: &Sync, on: &str) -> String {
    quote::ident(&Ident::new(format!("zzz_zdmig_{}_{on}", sync.tag)))
}

/// The names of the triggers.
pub(super) fn names(sync: &Sync) -> Vec<String> {
    let all: &[&str] = match &sync.kind {
        SyncKind::Replace { reverse: Some(_), .. } => &["insert", "old", "new"],
        SyncKind::Replace { reverse: None, .. } => &["insert", "old"],
        SyncKind::FillNull { .. } => &["insert", "update"],
        // Never planned here, where no constraint can follow a column, and no trigger can
        // change a row before it is checked.
        SyncKind::Retype(_) | SyncKind::Derive(_) => &[],
    };
    all.iter().map(|on| trigger(sync, on)).collect()
}

/// CREATE TRIGGER, all of them.
pub(super) fn create(sync: &Sync, table: &Table) -> Vec<Sql> {
    match &sync.kind {
        SyncKind::Replace { old, new, forward, reverse } => {
            replace(sync, table, (old, new), (forward, reverse.as_ref()))
        }
        SyncKind::Retype(_) | SyncKind::Derive(_) => Vec::new(),
        SyncKind::FillNull { column, value, condition } => {
            let name = quote::ident(column);
            let meant = condition.as_ref().map(|sql| format!(" AND ({sql})")).unwrap_or_default();
            let body = update(table, column, value, &format!("{name} IS NULL{meant}"));
            ["insert", "update"]
                .into_iter()
                .map(|on| {
                    create_one(sync, on, &on.to_uppercase(), &format!("NEW.{name} IS NULL"), &body)
                })
                .collect()
        }
    }
}

/// DROP TRIGGER, all of them.
pub(super) fn remove(sync: &Sync) -> Vec<Sql> {
    names(sync).iter().map(|name| Sql::new(format!("DROP TRIGGER IF EXISTS {name}"))).collect()
}

fn replace(
    sync: &Sync,
    table: &Table,
    (old, new): (&Column, &Column),
    (forward, reverse): (&Expr, Option<&Expr>),
) -> Vec<Sql> {
    let (old_name, new_name) = (quote::ident(&old.name), quote::ident(&new.name));
    let old_changed = format!("NEW.{old_name} IS NOT OLD.{old_name} COLLATE BINARY");
    let new_changed = format!("NEW.{new_name} IS NOT OLD.{new_name} COLLATE BINARY");
    let new_same = format!("NEW.{new_name} IS OLD.{new_name} COLLATE BINARY");
    let new_differs = format!("{} IS NOT {new_name} COLLATE BINARY", expression(forward));
    let old_differs = match reverse {
        Some(reverse) => format!("{} IS NOT {old_name} COLLATE BINARY", expression(reverse)),
        None => new_differs.clone(),
    };
    let mut on_insert = vec![update(table, &new.name, forward, &unset(new, ""))];
    if let Some(reverse) = reverse {
        // An identity has one true value, so the new code's wins; of a mapping that loses
        // something both are kept as they were given.
        let when = match forward {
            Expr::Column(_) => new_differs.clone(),
            Expr::Verbatim(_) => unset(old, ""),
        };
        let given = format!("NOT ({}) AND {when}", unset(new, ""));
        on_insert.insert(0, update(table, &old.name, reverse, &given));
    }
    let not_given =
        format!("({} OR NEW.{old_name} IS NOT NEW.{new_name} COLLATE BINARY)", unset(new, "NEW"));
    let mut all = vec![
        create_one(sync, "insert", "INSERT", &not_given, &on_insert.join("; ")),
        create_one(
            sync,
            "old",
            &format!("UPDATE OF {old_name}"),
            &format!("{old_changed} AND {new_same}"),
            &update(table, &new.name, forward, &old_differs),
        ),
    ];
    if let Some(reverse) = reverse {
        all.push(create_one(
            sync,
            "new",
            &format!("UPDATE OF {new_name}"),
            &new_changed,
            &update(table, &old.name, reverse, &new_differs),
        ));
    }
    all
}

fn create_one(sync: &Sync, on: &str, event: &str, when: &str, body: &str) -> Sql {
    Sql::new(format!(
        "CREATE TRIGGER {} AFTER {event} ON {} FOR EACH ROW\nWHEN {when}\n\
         BEGIN {body}; END",
        trigger(sync, on),
        quote::ident(&sync.table.name)
    ))
}

fn update(table: &Table, column: &Ident, value: &Expr, also: &str) -> String {
    let row: Vec<_> =
        table.key.iter().map(|key| format!("{} = NEW.{}", key_name(key), key_name(key))).collect();
    let also = if also.is_empty() { String::new() } else { format!(" AND {also}") };
    format!(
        "UPDATE {} SET {} = {} WHERE {}{also}",
        quote::ident(&table.name.name),
        quote::ident(column),
        expression(value),
        row.join(" AND ")
    )
}

/// A key column; the row id is no column and has no quotes.
pub(super) fn key_name(key: &Ident) -> String {
    if key.as_str() == "rowid" { "rowid".to_owned() } else { quote::ident(key) }
}

/// An expression over the table itself.
pub(super) fn expression(expr: &Expr) -> String {
    match expr {
        Expr::Column(name) => quote::ident(name),
        Expr::Verbatim(sql) => format!("({sql})"),
    }
}

/// Whether an insert left the column out: it has its literal default, or NULL.
fn unset(column: &Column, row: &str) -> String {
    let name = quote::ident(&column.name);
    let field = if row.is_empty() { name } else { format!("{row}.{name}") };
    match &column.default {
        Some(default) => format!("{field} IS ({}) COLLATE BINARY", default.sql),
        None => format!("{field} IS NULL"),
    }
}
