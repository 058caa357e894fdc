//! DROP COLUMN. Expand makes it legal to leave the column out; contract takes it away
//! reversibly; purge drops it, and nothing with it that was not listed.

use super::{Parts, Scene};
use crate::catalog::{ConstraintKind, Table};
use crate::plan::{Action, DropColumn, Phase, Retire, RetireWay, Sync, TakenOver, Target, Use};
use crate::planner::PlanError;
use crate::sql::{ColumnRef, Ident};

pub(super) fn decompose(scene: &Scene<'_>, column: &ColumnRef) -> Result<Parts, PlanError> {
    let table = scene.table(&column.table)?;
    let mut parts = Parts::default();
    parts.touches.push(column.clone());
    droppable(scene, table, &column.column)?;
    let known = scene.catalog.column(table, &column.column);
    if known.is_some_and(|one| !one.nullable && one.default.is_none()) {
        if !scene.can.alter_column {
            return Err(scene.refused(
                format!(
                    "`{column}` is NOT NULL without a default, so new code cannot leave it out, \
                     and this database cannot change that in place"
                ),
                "rebuild the table with a default on the column in a maintenance window first",
            ));
        }
        parts.step(Phase::Expand, Action::DropNotNull(column.clone()));
        parts.hazard(
            "readers-see-null",
            format!("old code may read NULL in `{column}` in rows that new code inserts"),
            "give the column a default first where old code cannot read NULL",
        );
    }
    parts.targets.push(Target { column: column.clone(), ends: Use::Any, replaced_by: None });
    lost_indexes(table, column, &mut parts);
    take_away(scene, table, column, None, Vec::new(), &mut parts);
    Ok(parts)
}

/// Refuses a column that something else needs.
pub(super) fn droppable(scene: &Scene<'_>, table: &Table, column: &Ident) -> Result<(), PlanError> {
    scene.plain_table(table)?;
    let named = format!("`{}.{column}`", table.name);
    if let Some(dependent) = table.dependents_of(column).next() {
        return Err(scene.refused(
            format!("{named} is used by {}", dependent.what),
            format!("change or drop the {} first, in a migration of its own", dependent.what),
        ));
    }
    for constraint in table.constraints_of(column) {
        let (what, remedy) = match constraint.kind {
            ConstraintKind::Primary => (
                format!("{named} is part of the primary key"),
                "add the new key first, and write the phases yourself in sections",
            ),
            ConstraintKind::Incoming => (
                format!("{named} is what a foreign key of `{}` points to", constraint.definition),
                "move that foreign key first, and write the phases yourself in sections",
            ),
            ConstraintKind::Exclusion => (
                format!("{named} is part of the exclusion constraint `{}`", constraint.name),
                "drop that constraint first, under `-- zdmig:contract`",
            ),
            ConstraintKind::Unique | ConstraintKind::Check | ConstraintKind::Foreign
                if !scene.can.drop_keyed_column =>
            {
                (
                    format!(
                        "{named} has the constraint `{}`, and this database cannot drop a column that has one",
                        constraint.definition
                    ),
                    "rebuild the table in a maintenance window",
                )
            }
            ConstraintKind::Unique | ConstraintKind::Check | ConstraintKind::Foreign => continue,
        };
        return Err(scene.refused(what, remedy));
    }
    Ok(())
}

/// Lists what goes with the column, and denies what covers other columns too.
pub(super) fn lost_indexes(table: &Table, column: &ColumnRef, parts: &mut Parts) {
    let indexes = table
        .indexes
        .iter()
        .filter(|one| one.columns.contains(&column.column) && one.columns.len() > 1)
        .map(|one| ("index", &one.name));
    let constraints = table
        .constraints_of(&column.column)
        .filter(|one| one.columns.len() > 1 && one.kind != ConstraintKind::Unique)
        .map(|one| ("constraint", &one.name));
    for (what, name) in indexes.chain(constraints).collect::<Vec<_>>() {
        parts.hazard(
            "loses-index",
            format!("the {what} `{name}` over several columns is lost with `{column}`"),
            "create it anew without the column and drop it in the same file, if it is needed",
        );
    }
}

/// Retire in contract, drop in purge.
pub(super) fn take_away(
    scene: &Scene<'_>,
    table: &Table,
    column: &ColumnRef,
    sync: Option<Sync>,
    renames: Vec<TakenOver>,
    parts: &mut Parts,
) {
    let way = if scene.can.privileges && table.guarded {
        RetireWay::Privileges
    } else {
        RetireWay::Rename(Ident::new(format!("zdmig_retired_{}", scene.tag(&column.to_string()))))
    };
    if scene.can.drop_rewrites {
        parts.hazard(
            "drop-rewrites",
            format!("purge writes `{}` anew, and writers wait for it", table.name),
            "run purge at a quiet hour if that is long",
        );
    }
    parts.step(
        Phase::Contract,
        Action::Retire(Retire { column: column.clone(), way: way.clone(), sync: sync.clone() }),
    );
    let loses = table
        .indexes
        .iter()
        .filter(|one| one.columns.contains(&column.column))
        .map(|one| one.name.clone())
        .chain(
            table
                .constraints_of(&column.column)
                .filter(|one| one.kind != ConstraintKind::Unique)
                .map(|one| one.name.clone()),
        )
        .filter(|name| !name.as_str().is_empty())
        .collect();
    parts.step(
        Phase::Purge,
        Action::DropColumn(DropColumn { column: column.clone(), way, sync, loses, renames }),
    );
}
