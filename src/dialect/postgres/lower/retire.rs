//! A column that goes: taken away first, dropped later.

use super::sync::Stage;
use super::{alter, asks, column_is, locks, quote, rewrite, run, step, sync};
use crate::catalog::Catalog;
use crate::dialect::Unsupported;
use crate::plan::{
    Check, DropColumn, Expect, Lowered, Retire, RetireType, RetireWay, TakenOver, Undo,
};
use crate::sql::{ColumnRef, Ident, Sql, TableName};

fn retired_name(column: &ColumnRef, way: &RetireWay) -> Ident {
    match way {
        RetireWay::Privileges => column.column.clone(),
        RetireWay::Rename(name) => name.clone(),
    }
}

pub(super) fn retire(retire: &Retire, catalog: &Catalog) -> Lowered {
    let table = &retire.column.table;
    let arguments = format!(
        "({}, {})",
        quote::literal(&quote::table(table)),
        quote::literal(retire.column.column.as_str())
    );
    match &retire.way {
        RetireWay::Privileges => {
            let mut lowered = step(
                vec![format!("SELECT zdmig.retire_column{arguments}")],
                asks(
                    format!(
                        "SELECT 1 FROM zdmig.retired WHERE relation = {} AND column_name = {}",
                        quote::literal(&quote::table(table)),
                        quote::literal(retire.column.column.as_str())
                    ),
                    Expect::Rows,
                ),
                run(format!("SELECT zdmig.restore_column{arguments}")),
            );
            let current = if retire.sync.is_some() { "; the triggers keep it current" } else { "" };
            lowered.note = Some(format!(
                "revokes every privilege on the column and keeps all others; takes no lock on the \
                 table{current}; until purge no column can be added to the table"
            ));
            lowered
        }
        RetireWay::Rename(tombstone) => {
            let (old, new) = (quote::ident(&retire.column.column), quote::ident(tombstone));
            let mut sql = vec![format!("{} RENAME COLUMN {old} TO {new}", alter(table))];
            let mut undo = vec![Sql::new(format!("{} RENAME COLUMN {new} TO {old}", alter(table)))];
            if let Some(one) = &retire.sync {
                let away = (retire.column.column.clone(), tombstone.clone());
                let names: Vec<_> = retire.renamed.iter().cloned().chain([away]).collect();
                let function = sync::create_function(one, Stage::OldNamed(&names), catalog);
                sql.push(function.to_string());
                undo.push(match retire.renamed.as_slice() {
                    [] => sync::create_function(one, Stage::Both, catalog),
                    before => sync::create_function(one, Stage::OldNamed(before), catalog),
                });
            }
            let mut lowered = step(
                sql,
                column_is(&ColumnRef::new(table, tombstone), "", Expect::Rows),
                Undo::Run(undo),
            );
            lowered.note = Some(
                "by a rename, because every role that logs in is a superuser and no privilege \
                 would stop it"
                    .into(),
            );
            lowered
        }
    }
}

pub(super) fn drop_column(drop: &DropColumn, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    let table = &drop.column.table;
    let gone = retired_name(&drop.column, &drop.way);
    let mut sql = vec![format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", quote::table(table))];
    if let Some(one) = &drop.sync {
        sql.push(sync::remove(one)[0].to_string());
    }
    let all =
        || std::iter::once((&drop.column, &drop.way)).chain(drop.also.iter().map(|(a, b)| (a, b)));
    for (column, _) in all().filter(|(_, way)| **way == RetireWay::Privileges) {
        sql.push(format!(
            "SELECT zdmig.restore_column({}, {})",
            quote::literal(&quote::table(table)),
            quote::literal(column.column.as_str())
        ));
    }
    let drops = all()
        .map(|(column, way)| format!("DROP COLUMN {}", quote::ident(&retired_name(column, way))));
    sql.push(format!("{} {}", alter(table), drops.collect::<Vec<_>>().join(", ")));
    for one in &drop.renames {
        sql.push(match one {
            TakenOver::Statistics { object, renamed } => {
                let again = rewrite::statistics(&object.definition, renamed);
                sql.push(again.ok_or_else(|| Unsupported {
                    what: format!("the statistics `{}` cannot be carried over", object.name),
                    remedy: "drop them first and create them again after the change".into(),
                })?);
                sql.extend(object.said.iter().cloned());
                continue;
            }
            TakenOver::Index { from, to, .. } => {
                format!("ALTER INDEX {} RENAME TO {}", quote::beside(table, from), quote::ident(to))
            }
            TakenOver::UniqueConstraint { from, to } => format!(
                "{} ADD CONSTRAINT {} UNIQUE USING INDEX {}",
                alter(table),
                quote::ident(to),
                quote::ident(from)
            ),
            TakenOver::Constraint { from, to } => format!(
                "{} RENAME CONSTRAINT {} TO {}",
                alter(table),
                quote::ident(from),
                quote::ident(to)
            ),
            TakenOver::Default { column, default } => format!(
                "{} ALTER COLUMN {} SET DEFAULT {}",
                alter(table),
                quote::ident(column),
                default.sql
            ),
        });
    }
    sql.extend(drop.marks.iter().filter_map(|one| super::mark(table, one)));
    if let Some(one) = &drop.sync {
        sql.push(sync::remove(one)[1].to_string());
    }
    let mut lowered =
        step(sql, column_is(&ColumnRef::new(table, &gone), "", Expect::NoRows), Undo::Impossible);
    if drop.sync.is_some() {
        // The catalogue knows the column by its own name, and what it still points to.
        let named =
            all().map(|(column, _)| format!("DROP COLUMN {}", quote::ident(&column.column)));
        let named = format!("{} {}", alter(table), named.collect::<Vec<_>>().join(", "));
        lowered.locks = locks::of(&[Sql::new(named)], catalog);
    }
    if !drop.loses.is_empty() {
        let names: Vec<_> = drop.loses.iter().map(Ident::as_str).collect();
        lowered.note = Some(format!("takes these with it: {}", names.join(", ")));
    }
    Ok(lowered)
}

fn hidden_type(one: &RetireType) -> TableName {
    TableName { schema: one.name.schema.clone(), name: one.hidden.clone() }
}

fn type_is(name: &TableName, expect: Expect) -> Check {
    let name = quote::literal(&quote::table(name));
    asks(format!("SELECT 1 WHERE to_regtype({name}) IS NOT NULL"), expect)
}

/// A type under another name: columns that are kept go on to be of it.
pub(super) fn retire_type(one: &RetireType) -> Lowered {
    let hidden = hidden_type(one);
    let rename = |from: &TableName, to: &Ident| {
        format!("ALTER TYPE {} RENAME TO {}", quote::table(from), quote::ident(to))
    };
    let mut lowered = step(
        vec![rename(&one.name, &one.hidden)],
        type_is(&hidden, Expect::Rows),
        run(rename(&hidden, &one.name.name)),
    );
    lowered.note = Some("a column that is kept until purge is still of this type".into());
    lowered
}

pub(super) fn drop_type(one: &RetireType) -> Lowered {
    let hidden = hidden_type(one);
    let cascade = if one.cascade { " CASCADE" } else { "" };
    step(
        vec![format!("DROP TYPE {}{cascade}", quote::table(&hidden))],
        type_is(&hidden, Expect::NoRows),
        Undo::Impossible,
    )
}
