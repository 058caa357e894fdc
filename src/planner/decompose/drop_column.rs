//! DROP COLUMN. Expand makes it legal to leave the column out; contract takes it away
//! reversibly; purge drops it, and nothing with it that was not listed.

use std::collections::BTreeSet;

use super::drop_constraint::let_go;
use super::drop_not_null::nullable;
use super::{Parts, Scene};
use crate::catalog::{ConstraintKind, DependentKind, Index, Mark, Table};
use crate::plan::{Action, DropColumn, Phase, Retire, RetireWay, Sync, TakenOver, Target, Use};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, mentions};

pub(super) fn decompose(scene: &Scene<'_>, column: &ColumnRef) -> Result<Parts, PlanError> {
    let table = scene.table(&column.table)?;
    let mut parts = Parts::default();
    parts.touches.push(column.clone());
    parts.reshapes_column(column, Phase::Purge);
    parts.shifts.push(table.name.clone());
    scene.whole_table(table)?;
    droppable(scene, table, &column.column, &mut parts)?;
    parts.holds_whole_row(table);
    let known = scene.catalog.column(table, &column.column);
    parts.uses.extend(known.into_iter().flat_map(Scene::held_by));
    let keyed = table.key.contains(&column.column);
    if known.is_some_and(|one| !one.nullable && one.default.is_none()) && keyed {
        parts.hazard(
            "required-until-purge",
            format!("`{column}` is part of the primary key and has no default, so new code cannot leave it out before purge"),
            "give it a default, or another primary key, in a migration before this one",
        );
    } else if known.is_some_and(|one| !one.nullable && one.default.is_none()) {
        if !scene.can.alter_column {
            return Err(scene.refused(
                format!(
                    "`{column}` is NOT NULL without a default, so new code cannot leave it out, \
                     and this database cannot change that in place"
                ),
                "rebuild the table with a default on the column in a maintenance window first",
            ));
        }
        loosen(scene, &mut parts, column);
    }
    parts.targets.push(Target { column: column.clone(), ends: Use::Any, replaced_by: None });
    lost_indexes(table, column, &mut parts);
    parts.uses.extend(Scene::statistics_named(table, &column.column));
    // A value that is kept for a restore must not hold on to rows that new code deletes.
    let keys =
        table.constraints_of(&column.column).filter(|one| one.kind == ConstraintKind::Foreign);
    for key in keys.filter(|_| scene.can.add_constraint) {
        parts.step(Phase::Contract, let_go(scene, table, key));
    }
    if keyed {
        let primary = Ident::new("primary");
        parts.late.push((Phase::Purge, Words::name(&[&table.name.name, &primary])));
    }
    take_away(scene, table, column, None, Vec::new(), &mut parts);
    Ok(parts)
}

/// Lets new code leave the column without a value.
pub(super) fn loosen(scene: &Scene<'_>, parts: &mut Parts, column: &ColumnRef) {
    parts.step(Phase::Expand, nullable(scene, column));
    parts.hazard(
        "readers-see-null",
        format!("old code may read NULL in `{column}` in rows that new code inserts"),
        "give the column a default first where old code cannot read NULL",
    );
}

/// Refuses a column that something else needs.
pub(super) fn droppable(
    scene: &Scene<'_>,
    table: &Table,
    column: &Ident,
    parts: &mut Parts,
) -> Result<(), PlanError> {
    let named = format!("`{}.{column}`", table.name);
    for dependent in table.dependents_of(column) {
        let what = &dependent.what;
        match dependent.kind {
            DependentKind::View | DependentKind::Other => {
                return Err(scene.refused(
                    format!("{named} is used by {what}"),
                    format!("change or drop the {what} first, in this file or before it"),
                ));
            }
            DependentKind::Body => parts.hazard(
                "body-names-column",
                format!("{what}: if that is {named}, every write fails once the column is gone"),
                "replace the function in the same file, or allow it where the word means \
                 something else",
            ),
            DependentKind::Statistics => (),
        }
    }
    let identity = table.row_identity.as_deref().unwrap_or_default();
    let tells =
        |index: &&Index| index.columns.contains(column) && mentions(identity, index.name.as_str());
    if let Some(index) = table.indexes.iter().find(tells) {
        return Err(scene.refused(
            format!("subscribers tell rows by `{}`, which would be lost with {named}", index.name),
            format!(
                "give `{}` another REPLICA IDENTITY in a migration before this one",
                table.name
            ),
        ));
    }
    for constraint in table.constraints_of(column) {
        let (what, remedy) = match constraint.kind {
            ConstraintKind::Primary if !scene.can.drop_keyed_column => (
                format!("{named} is part of the primary key"),
                "rebuild the table in a maintenance window",
            ),
            ConstraintKind::Primary => {
                parts.hazard(
                    "loses-index",
                    format!("the primary key `{}` is lost with {named}", constraint.name),
                    "add the new primary key in the same file, after this",
                );
                continue;
            }
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
    let statistics =
        table.statistics_of(&column.column).map(|one| ("statistics object", &one.name));
    for (what, name) in indexes.chain(constraints).chain(statistics).collect::<Vec<_>>() {
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
    take_all_away(scene, table, std::slice::from_ref(column), None, sync, renames, parts);
}

/// The same for columns that triggers keep current together, and for `with`, which only the
/// triggers know: all of them go at once.
pub(super) fn take_all_away(
    scene: &Scene<'_>,
    table: &Table,
    columns: &[ColumnRef],
    with: Option<&ColumnRef>,
    sync: Option<Sync>,
    renames: Vec<TakenOver>,
    parts: &mut Parts,
) {
    if scene.can.drop_rewrites {
        parts.hazard(
            "drop-rewrites",
            format!("purge writes `{}` anew, and writers wait for it", table.name),
            "run purge at a quiet hour if that is long",
        );
    }
    let mut renamed = Vec::new();
    let mut gone = Vec::new();
    let mut loses = BTreeSet::new();
    for column in columns {
        let way = way(scene, table, column);
        let before = renamed.clone();
        if let RetireWay::Rename(to) = &way {
            renamed.push((column.column.clone(), to.clone()));
        }
        parts.step(
            Phase::Contract,
            Action::Retire(Retire {
                column: column.clone(),
                way: way.clone(),
                sync: sync.clone(),
                renamed: before,
            }),
        );
        loses.extend(lost_names(table, column));
        gone.push((column.clone(), way));
    }
    // Their names are free once they are gone.
    for name in loses.iter().filter(|name| !taken_over(&renames, name)) {
        parts.late.push((Phase::Purge, Words::name(&[name])));
    }
    gone.extend(with.map(|one| (one.clone(), RetireWay::Rename(one.column.clone()))));
    let mut gone = gone.into_iter();
    let Some((column, way)) = gone.next() else { return };
    let kept = |mark: &&Mark| taken_over(&renames, mark.name());
    let marks = table.marks.iter().filter(kept).cloned().collect();
    let drop = DropColumn { column, way, sync, loses, renames, also: gone.collect(), marks };
    parts.step(Phase::Purge, Action::DropColumn(drop));
}

fn way(scene: &Scene<'_>, table: &Table, column: &ColumnRef) -> RetireWay {
    if scene.can.privileges && table.guarded {
        RetireWay::Privileges
    } else {
        RetireWay::Rename(Ident::new(format!("zdmig_retired_{}", scene.tag(&column.to_string()))))
    }
}

/// The indexes and constraints that go with a column.
fn lost_names(table: &Table, column: &ColumnRef) -> BTreeSet<Ident> {
    table
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
        .collect()
}

/// Whether something made for the new column gets this name.
fn taken_over(renames: &[TakenOver], name: &Ident) -> bool {
    renames.iter().any(|one| match one {
        TakenOver::Index { to, .. }
        | TakenOver::UniqueConstraint { to, .. }
        | TakenOver::Constraint { to, .. } => to == name,
        TakenOver::Statistics { .. } | TakenOver::Default { .. } => false,
    })
}
