//! Constraints: added unchecked, checked beside everybody, dropped.

use super::{
    alter, column_is, committed, constraint_is, marks, outside, quote, rewrite, run, step, sync,
};
use crate::catalog::{Catalog, ConstraintKind, Index, TableKind};
use crate::plan::{
    AttachIndex, Carried, Check, DropConstraint, Expect, Lowered, NotNullCheck, Undo,
};
use crate::sql::{Ident, Sql, TableName};

pub(super) fn add_not_null_check(check: &NotNullCheck) -> Lowered {
    let table = &check.column.table;
    let (column, name) = (quote::ident(&check.column.column), quote::ident(&check.check));
    step(
        vec![format!(
            "{} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID",
            alter(table)
        )],
        constraint_is(table, &check.check, ""),
        run(format!("{} DROP CONSTRAINT IF EXISTS {name}", alter(table))),
    )
}

pub(super) fn validate(table: &TableName, name: &Ident) -> Lowered {
    step(
        vec![format!("{} VALIDATE CONSTRAINT {}", alter(table), quote::ident(name))],
        constraint_is(table, name, " AND convalidated"),
        Undo::Nothing,
    )
}

pub(super) fn set_not_null(check: &NotNullCheck, catalog: &Catalog) -> Lowered {
    let table = &check.column.table;
    let column = quote::ident(&check.column.column);
    let mut sql = vec![format!("{} ALTER COLUMN {column} SET NOT NULL", alter(table))];
    if check.goes_at_once {
        sql.push(format!("{} DROP CONSTRAINT {}", alter(table), quote::ident(&check.check)));
    }
    let mut undo = vec![Sql::new(format!("{} ALTER COLUMN {column} DROP NOT NULL", alter(table)))];
    // It goes down to partitions, some of which may have been NOT NULL before.
    let parts = catalog.find(table).into_iter().flat_map(|one| &one.partitions);
    let before = parts.filter(|part| {
        let known = catalog.find(part).and_then(|part| catalog.column(part, &check.column.column));
        known.is_some_and(|one| !one.nullable)
    });
    undo.extend(
        before.map(|part| Sql::new(format!("{} ALTER COLUMN {column} SET NOT NULL", alter(part)))),
    );
    let mut lowered =
        step(sql, column_is(&check.column, " AND attnotnull", Expect::Rows), Undo::Run(undo));
    lowered.note = Some("no scan: the valid check proves it".into());
    lowered
}

pub(super) fn drop_not_null_check(check: &NotNullCheck) -> Lowered {
    let table = &check.column.table;
    let name = quote::ident(&check.check);
    let mut sql = vec![format!("{} DROP CONSTRAINT {name}", alter(table))];
    if let Some(one) = &check.sync {
        sql.extend(sync::remove(one).iter().map(ToString::to_string));
    }
    let there = constraint_is(table, &check.check, "");
    let gone = Check { expect: Expect::NoRows, ..there };
    step(sql, gone, Undo::Impossible)
}

pub(super) fn attach(one: &Carried) -> Lowered {
    let clause = rewrite::constraint(&one.definition, &one.renamed, &one.pointed);
    let clause = checked_at_once(&clause);
    let valid = if one.at_once { "" } else { " NOT VALID" };
    let name = quote::ident(&one.name);
    step(
        vec![format!("{} ADD CONSTRAINT {name} {clause}{valid}", alter(&one.table))],
        constraint_is(&one.table, &one.name, ""),
        run(format!("{} DROP CONSTRAINT IF EXISTS {name}", alter(&one.table))),
    )
}

/// A clause without NOT VALID at its end.
fn checked_at_once(clause: &str) -> &str {
    let mut rest = clause.trim_end();
    for word in ["VALID", "NOT"] {
        let at = rest.len().saturating_sub(word.len());
        let ends = rest.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(word));
        let apart = rest[..if ends { at } else { 0 }].ends_with(char::is_whitespace);
        if !ends || !apart {
            return clause.trim_end();
        }
        rest = rest[..at].trim_end();
    }
    rest
}

/// A unique index becomes a constraint, which takes no scan.
pub(super) fn attach_index(one: &AttachIndex, catalog: &Catalog) -> Lowered {
    let name = quote::ident(&one.name);
    let kind = if one.primary { "PRIMARY KEY" } else { "UNIQUE" };
    let space = if one.attributes.is_empty() { "" } else { " " };
    let drop = format!("{} DROP CONSTRAINT IF EXISTS {name}", alter(&one.table));
    let index = quote::beside(&one.table, &one.name);
    let drop = if one.second { from_under_foreign_keys(&index, &drop) } else { drop };
    let mut undo = vec![Sql::new(drop)];
    // The constraint takes the index with it when it goes.
    let before = catalog.find(&one.table).and_then(|table| {
        table.indexes.iter().find(|index| index.name == one.index && index.constraint.is_none())
    });
    // As the author wrote it, it may ask for what no transaction can do.
    undo.extend(before.map(|index| Sql::new(inside(&index.definition))));
    step(
        vec![format!(
            "{} ADD CONSTRAINT {name} {kind} USING INDEX {}{space}{}",
            alter(&one.table),
            quote::ident(&one.index),
            one.attributes
        )],
        constraint_is(&one.table, &one.name, ""),
        Undo::Run(undo),
    )
}

/// Drops a unique index, or the constraint that owns it, though foreign keys rest on it: they
/// are made again, and rest on the other key over those columns.
pub(super) fn from_under_foreign_keys(index: &str, drop: &str) -> String {
    let resting = format!(
        "FROM pg_constraint WHERE contype = 'f' AND conparentid = 0\n    AND conindid = to_regclass({})",
        quote::literal(index)
    );
    let body = format!(
        "DECLARE again text[]; one text; BEGIN\n  \
         SELECT array_agg(format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,\n    \
         pg_get_constraintdef(oid)) || format('; COMMENT ON CONSTRAINT %I ON %s IS %L', conname,\n    \
         conrelid::regclass, obj_description(oid, 'pg_constraint'))) INTO again\n    {resting};\n  \
         FOR one IN SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)\n    {resting}\n  \
         LOOP EXECUTE one; END LOOP;\n  \
         {drop};\n  \
         FOREACH one IN ARRAY coalesce(again, '{{}}') LOOP EXECUTE one; END LOOP;\nEND "
    );
    format!("DO {}", quote::dollar(&body))
}

/// The statement of an index without CONCURRENTLY.
fn inside(definition: &str) -> String {
    let upper = definition.to_uppercase();
    match upper.find(" CONCURRENTLY") {
        Some(at) => format!("{}{}", &definition[..at], &definition[at + 13..]),
        None => definition.to_owned(),
    }
}

/// DROP CONSTRAINT; of a foreign key it stops the readers of the other table too.
pub(super) fn drop(one: &DropConstraint, catalog: &Catalog) -> Lowered {
    let name = quote::ident(&one.name);
    let marks = marks(&one.table, &one.name, catalog);
    let undo = again_beside_everybody(one, &marks, catalog).unwrap_or_else(|| {
        let again = format!("{} ADD CONSTRAINT {name} {}", alter(&one.table), one.definition);
        Undo::Run(std::iter::once(Sql::new(again)).chain(marks).collect())
    });
    let there = constraint_is(&one.table, &one.name, "");
    step(
        vec![format!("{} DROP CONSTRAINT {name}", alter(&one.table))],
        Check { expect: Expect::NoRows, ..there },
        undo,
    )
}

/// The constraint with all that was said about it, made again without a scan under a strong lock;
/// `None` where the server knows no such way: for exclusion, and over partitions.
fn again_beside_everybody(one: &DropConstraint, marks: &[Sql], catalog: &Catalog) -> Option<Undo> {
    let table = catalog.find(&one.table).filter(|table| table.kind != TableKind::Partitioned)?;
    let known = table.constraints.iter().find(|known| known.name == one.name)?;
    let (alter, name) = (alter(&one.table), quote::ident(&one.name));
    let marks = marks.iter().map(ToString::to_string);
    match known.kind {
        ConstraintKind::Check | ConstraintKind::Foreign => {
            let clause = checked_at_once(&one.definition);
            if clause != one.definition || clause.ends_with(" NOT ENFORCED") {
                return None;
            }
            let again = format!("{alter} ADD CONSTRAINT {name} {clause} NOT VALID");
            let valid = format!("{alter} VALIDATE CONSTRAINT {name}");
            Some(Undo::Stages {
                stages: vec![committed(std::iter::once(again).chain(marks)), committed([valid])],
                abandon: committed([format!("{alter} DROP CONSTRAINT IF EXISTS {name}")]),
            })
        }
        ConstraintKind::Primary | ConstraintKind::Unique => {
            let ours = |index: &&Index| index.constraint.as_ref() == Some(&one.name);
            let index = table.indexes.iter().find(ours)?;
            if !index.definition.contains(" USING btree ") {
                return None;
            }
            let kind = if known.kind == ConstraintKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
            let tail = &one.definition[one.definition.rfind(')')?..];
            let attributes = tail.find(" DEFERRABLE").map_or("", |at| &tail[at..]);
            let working = quote::ident(&one.working);
            // The definition may name the table as it was before the file.
            let build = rewrite::on_part(&index.definition, &one.working, &one.table)?;
            let takes =
                format!("{alter} ADD CONSTRAINT {name} {kind} USING INDEX {working}{attributes}");
            let built = quote::beside(&one.table, &one.working);
            let gone = format!("DROP INDEX CONCURRENTLY IF EXISTS {built}");
            Some(Undo::Stages {
                stages: vec![outside(build), committed(std::iter::once(takes).chain(marks))],
                abandon: outside(gone),
            })
        }
        _ => None,
    }
}
