//! UPDATE and DELETE of a table that exists: in chunks where the statement lets itself be cut.

use super::{Parts, Scene, verbatim};
use crate::catalog::{Constraint, ConstraintKind, Table, TableKind};
use crate::change::Fill;
use crate::plan::{Action, Phase};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::planner::premise::answers;
use crate::sql::{Span, mentions};

pub(super) fn decompose(scene: &Scene<'_>, fill: &Fill) -> Result<Parts, PlanError> {
    let table = scene.table(&fill.table)?;
    let why = match &fill.whole {
        Some(why) => Some(why.clone()),
        None if table.key.is_empty() => {
            Some(format!("`{}` has no primary key to walk along", table.name))
        }
        None => unsafe_in_chunks(scene, table, fill),
    };
    let Some(why) = why else {
        let mut parts = verbatim::backfill(scene, fill, None)?;
        if let Some(column) = unrepeatable(scene, fill) {
            parts.hazard(
                "not-repeatable",
                format!(
                    "the new value of `{}.{column}` is computed from the old one: a row that is \
                     written while the fill runs may be changed that was not meant to be",
                    table.name
                ),
                "add a WHERE that leaves out rows which are done, or allow it where nobody writes \
                 such rows meanwhile",
            );
        }
        if fill.set.is_empty() {
            deletes(&mut parts, &table.name.to_string());
        }
        parts.rows.push((Phase::Backfill, table.name.clone()));
        parts.minds_rows = true;
        return Ok(parts);
    };
    let mut parts = Parts { minds_rows: true, ..Parts::default() };
    parts.step(Phase::Backfill, Action::Verbatim(verbatim::statement(scene, false)));
    parts.rows.push((Phase::Backfill, table.name.clone()));
    if let Some(computed) = &fill.computes {
        answers(scene, &mut parts, table, computed);
    }
    if !table.is_empty() {
        whole(&mut parts, &table.name.to_string(), &why);
    }
    if fill.set.is_empty() {
        deletes(&mut parts, &table.name.to_string());
    }
    Ok(parts)
}

/// The hazard of rows that are gone.
fn deletes(parts: &mut Parts, table: &str) {
    parts.hazard(
        "deletes-rows",
        format!("rows that it deletes from `{table}` are not brought back by a rollback"),
        "keep a copy of them where that may be needed",
    );
}

/// The hazard of a statement that is run in one piece.
pub(super) fn whole(parts: &mut Parts, table: &str, why: &str) {
    parts.hazard(
        "whole-statement",
        format!("this runs as one statement and holds every row of `{table}` that it touches until it ends: {why}"),
        "write it as `UPDATE table SET column = expression WHERE condition`, as `DELETE FROM table \
         WHERE condition`, or as `INSERT INTO table SELECT … FROM other WHERE condition`, which are \
         run in chunks, or allow it where the table is small",
    );
}

/// Why a statement cut into chunks would not do what it does in one piece.
fn unsafe_in_chunks(scene: &Scene<'_>, table: &Table, fill: &Fill) -> Option<String> {
    if fill.only && table.kind != TableKind::Ordinary {
        return Some("it says ONLY, and other tables inherit from it".to_owned());
    }
    let to_itself = |one: &Constraint| {
        one.kind == ConstraintKind::Foreign
            && one
                .references
                .as_ref()
                .and_then(|name| scene.catalog.find(name))
                .map(|one| &one.name)
                == Some(&table.name)
    };
    if fill.set.is_empty() && table.constraints.iter().any(to_itself) {
        return Some("its rows point to each other, and must go together".to_owned());
    }
    let source = &scene.migration.source;
    let texts = fill.set.iter().map(|(_, value)| *value).chain(fill.condition);
    let reads = |span: Span| {
        let text = span.of(source);
        mentions(text, "select") && reads_what_it_changes(scene, table, &Words::of(text))
    };
    texts
        .into_iter()
        .any(reads)
        .then(|| "it may read other rows of the table that it changes".to_owned())
}

/// Whether words name the table itself, or a view or a function that may read it.
fn reads_what_it_changes(scene: &Scene<'_>, table: &Table, words: &Words) -> bool {
    let view = |one: &Table| one.kind == TableKind::View;
    let mut tables = scene.catalog.tables.values();
    let routine = |kind: &str| matches!(kind, "function" | "procedure");
    let mut objects = scene.catalog.objects.iter().filter(|one| routine(&one.kind));
    words.hold(&Words::name(&[&table.name.name]))
        || tables.any(|one| view(one) && words.hold(&Words::name(&[&one.name.name])))
        || objects.any(|one| words.hold(&Words::name(&[&one.name.name])))
}

/// The first column whose new value depends on its old one in such a way that doing it twice
/// is not the same as doing it once.
fn unrepeatable(scene: &Scene<'_>, fill: &Fill) -> Option<String> {
    let source = &scene.migration.source;
    fill.set.iter().find_map(|(column, value)| {
        let text = value.of(source);
        let reads: Vec<_> =
            fill.set.iter().filter(|(one, _)| mentions(text, one.as_str())).collect();
        let settled = reads.iter().all(|(one, _)| one == column) && settles(text, column.as_str());
        (!reads.is_empty() && !settled).then(|| column.to_string())
    })
}

/// Functions that give the same when they are applied to what they gave.
fn settles(text: &str, column: &str) -> bool {
    const SETTLING: [&str; 6] = ["lower", "upper", "trim", "btrim", "coalesce", "abs"];
    let lower = text.trim().to_lowercase();
    let Some((head, rest)) = lower.split_once('(') else { return lower == column.to_lowercase() };
    let Some(inside) = rest.strip_suffix(')') else { return false };
    let first = inside.split(',').next().unwrap_or_default().trim().trim_matches('"');
    let others = inside.split_once(',').map_or("", |(_, others)| others);
    SETTLING.contains(&head.trim()) && first == column.to_lowercase() && !mentions(others, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_settles_and_what_does_not() {
        for text in ["lower(\"email\")", "COALESCE(email, 'x')", "email"] {
            assert!(settles(text, "email"), "{text}");
        }
        for text in ["email || 'x'", "lower(email) || '1'", "replace(email, 'a', 'aa')"] {
            assert!(!settles(text, "email"), "{text}");
        }
    }
}
