//! ADD COLUMNs + UPDATE + DROP COLUMNs that belong together: a column that is split, several
//! that are merged, a document that is spread out. Both sides exist and are kept in step by
//! triggers, in both directions, until nobody uses the old one.

use super::add_column::{defined, star_readers};
use super::drop_column::{droppable, loosen, lost_indexes, take_all_away};
use super::set_not_null::{behind_gate, by_check};
use super::{Parts, Scene, verbatim};
use crate::catalog::{Column, ConstraintKind, Table};
use crate::change::NewColumn;
use crate::plan::{
    Action, AddColumn, Assignment, Derived, FillRows, Pending, Phase, StandIn, Sync, SyncKind,
    TakenOver, Target, Use, Verify, VerifyRule,
};
use crate::planner::PlanError;
use crate::planner::intent::{Derive, Words};
use crate::planner::premise::computes;
use crate::sql::{ColumnRef, Ident};

pub(super) fn decompose(scene: &Scene<'_>, derive: &Derive) -> Result<Parts, PlanError> {
    let table = scene.table(&derive.table)?;
    if let Some(column) = derive.columns.iter().find(|one| !one.others.is_empty()) {
        let clauses = column.others.join("`, `");
        return Ok(verbatim::opaque(
            scene,
            &format!("`{clauses}` in a new column is not taken apart"),
        ));
    }
    let unknown = |source| PlanError::Unknown { span: scene.intent.span, source };
    let mut olds = Vec::new();
    for name in &derive.olds {
        olds.push(scene.catalog.require_column(table, name).map_err(unknown)?.clone());
    }
    let mut parts = Parts::default();
    for old in &olds {
        fits(scene, table, old, &mut parts)?;
    }
    for (_, value) in derive.forward.iter().chain(&derive.reverse) {
        scene.computable(table, value)?;
    }
    names(&mut parts, table, &olds, derive);
    hazards(scene, &mut parts, table, &olds, derive);
    let (sync, fill) = both_sides(scene, &mut parts, table, (olds, derive))?;
    let replaced_by = match derive.columns.as_slice() {
        [one] => Some(ColumnRef::new(&table.name, &one.name)),
        _ => None,
    };
    let gone: Vec<_> = derive.olds.iter().map(|name| ColumnRef::new(&table.name, name)).collect();
    parts.targets.extend(gone.iter().map(|column| Target {
        column: column.clone(),
        ends: Use::Any,
        replaced_by: replaced_by.clone(),
    }));
    for column in derive.columns.iter().filter(|one| one.not_null) {
        let target = ColumnRef::new(&table.name, &column.name);
        if column.default.is_some() {
            by_check(scene, &mut parts, &target, Some(fill.clone()), Phase::Backfill, None);
        } else {
            // What old code writes may come out as NULL, and must not fail while it runs.
            let rule = VerifyRule::NotNull(column.name.clone());
            let repair = Some(fill.clone());
            let verify = Verify { table: table.name.clone(), rule, repair };
            parts.step(Phase::Backfill, Action::Verify(verify));
            behind_gate(scene, &mut parts, &target);
        }
    }
    let defaults = derive.columns.iter().filter_map(|one| {
        let default = defined(one).default?;
        Some(TakenOver::Default { column: one.name.clone(), default })
    });
    for column in &gone {
        lost_indexes(table, column, &mut parts);
    }
    take_all_away(scene, table, &gone, Some(sync), defaults.collect(), &mut parts);
    Ok(parts)
}

/// Expand and backfill, up to where both sides agree in every row.
fn both_sides(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    (olds, derive): (Vec<Column>, &Derive),
) -> Result<(Sync, FillRows), PlanError> {
    let back = |name: &Ident| derive.reverse.iter().any(|(column, _)| column == name);
    let may_be_null = derive.columns.iter().any(|one| !one.not_null);
    for old in olds.iter().filter(|one| !one.nullable) {
        let left_out = !back(&old.name) && old.default.is_none();
        if left_out || back(&old.name) && may_be_null {
            // Nothing can give it a value in rows that new code inserts, or not always.
            loosen(parts, &ColumnRef::new(&table.name, &old.name));
        }
    }
    // A column that holds its default must not be told from one that was given that value:
    // new columns get theirs when the old ones go.
    let news: Vec<_> = derive
        .columns
        .iter()
        .map(|one| Column { nullable: true, default: None, ..defined(one) })
        .collect();
    for column in &news {
        parts.step(
            Phase::Expand,
            Action::AddColumn(AddColumn {
                table: table.name.clone(),
                column: column.clone(),
                default_for_existing: false,
            }),
        );
    }
    let value = |column: &Column| {
        let (_, value) = derive.forward.iter().find(|(name, _)| *name == column.name)?;
        Some(Assignment::to(column, value.clone()))
    };
    let set: Vec<_> = news.iter().filter_map(value).collect();
    let derived = Derived {
        olds,
        news,
        forward: derive.forward.clone(),
        reverse: derive.reverse.clone(),
        defaults: derive.columns.iter().filter_map(stand_in).collect(),
    };
    let tag = scene.tag(&format!("{} {:?}", table.name, derive.olds));
    let sync = Sync {
        table: table.name.clone(),
        tag: tag.clone(),
        kind: SyncKind::Derive(Box::new(derived)),
    };
    parts.step(Phase::Expand, Action::InstallSync(sync.clone()));
    // What new code wrote must not be computed over: a row is done once one of them is there.
    let fill = FillRows {
        table: table.name.clone(),
        key: scene.key(table)?,
        set: set.clone(),
        pending: Pending::Null(derive.condition.clone()),
        does_for: Some(tag),
    };
    computes(scene, parts, &fill);
    parts.step(Phase::Backfill, Action::Backfill(fill.clone()));
    let verify = Action::Verify(Verify {
        table: table.name.clone(),
        rule: VerifyRule::Filled(set, derive.condition.clone()),
        repair: Some(fill.clone()),
    });
    parts.step(Phase::Backfill, verify.clone());
    // What old code wrote since may be something that an expression fails for.
    parts.step(Phase::Contract, verify);
    Ok((sync, fill))
}

fn stand_in(column: &NewColumn) -> Option<StandIn> {
    Some(StandIn {
        column: column.name.clone(),
        value: column.default.clone()?,
        required: column.not_null,
    })
}

/// Refuses what cannot be kept in step, before anything is done.
fn fits(
    scene: &Scene<'_>,
    table: &Table,
    old: &Column,
    parts: &mut Parts,
) -> Result<(), PlanError> {
    droppable(scene, table, &old.name, parts)?;
    let named = format!("`{}.{}`", table.name, old.name);
    let sections = "write the phases yourself under `-- zdmig:expand`, `-- zdmig:backfill` and \
                    `-- zdmig:contract`";
    let primary = |one: &crate::catalog::Constraint| one.kind == ConstraintKind::Primary;
    if table.constraints_of(&old.name).any(primary) {
        return Err(scene.refused(
            format!("{named} is part of the primary key, by which rows are told apart"),
            sections,
        ));
    }
    if let Some(why) = old.peculiar.first() {
        return Err(scene.refused(format!("{named} cannot be replaced: {why}"), sections));
    }
    if old.default.as_ref().is_some_and(|default| !default.constant) {
        return Err(scene.refused(
            format!(
                "{named} has a computed default, so that a value which code gave cannot be told \
                 from one that it left out"
            ),
            format!(
                "drop the default first, where code always gives a value: `ALTER TABLE {} ALTER \
                 COLUMN {} DROP DEFAULT` in a migration before this one",
                table.name, old.name
            ),
        ));
    }
    Ok(())
}

/// What it touches, for the order and for other plans.
fn names(parts: &mut Parts, table: &Table, olds: &[Column], derive: &Derive) {
    parts.shifts.push(table.name.clone());
    for old in olds {
        let column = ColumnRef::new(&table.name, &old.name);
        parts.reshapes_column(&column, Phase::Purge);
        parts.touches.push(column);
        parts.uses.extend(Scene::held_by(old));
        let indexes = table.indexes.iter().filter(|one| one.columns.contains(&old.name));
        let constraints = table.constraints_of(&old.name).map(|one| &one.name);
        let held = indexes.map(|one| &one.name).chain(constraints);
        parts.uses.extend(held.map(|name| Words::name(&[&table.name.name, name])));
    }
    for column in &derive.columns {
        parts.touches.push(ColumnRef::new(&table.name, &column.name));
        parts.made.push(Words::name(&[&table.name.name, &column.name]));
    }
}

fn hazards(scene: &Scene<'_>, parts: &mut Parts, table: &Table, olds: &[Column], derive: &Derive) {
    for column in &derive.columns {
        star_readers(scene, parts, table, column);
    }
    let back = |name: &Ident| derive.reverse.iter().any(|(column, _)| column == name);
    for old in olds.iter().filter(|old| !derive.no_sync && !back(&old.name)) {
        let news: Vec<_> = derive.columns.iter().map(|one| format!("`{}`", one.name)).collect();
        parts.hazard(
            "one-way-sync",
            format!(
                "nothing says how `{}.{}` follows from {}, so old code would not see what new \
                 code writes",
                table.name,
                old.name,
                news.join(" and ")
            ),
            &format!(
                "write `-- zdmig:reverse {}.{} = expression`, or `-- zdmig:no-sync {}.{} because \
                 \"…\"`",
                table.name.name, old.name, table.name.name, old.name
            ),
        );
    }
}
