//! ADD COLUMNs + UPDATE + DROP COLUMNs that belong together: a column that is split, several
//! that are merged, a document that is spread out. Both sides exist and are kept in step by
//! triggers, in both directions, until nobody uses the old one.

use super::add_column::{defined, star_readers};
use super::drop_column::{droppable, loosen, lost_indexes, take_all_away};
use super::drop_constraint::let_go;
use super::set_not_null::{behind_gate, by_check};
use super::verbatim::unset;
use super::{Parts, Scene};
use crate::catalog::{Column, ConstraintKind, Default, Table};
use crate::change::NewColumn;
use crate::plan::{
    Action, AddColumn, Assignment, Derived, Expr, FillRows, Pending, Phase, StandIn, Sync,
    SyncKind, TakenOver, Target, Use, Verify, VerifyRule, Walk,
};
use crate::planner::PlanError;
use crate::planner::intent::{Derive, Words};
use crate::planner::premise::computes;
use crate::sql::{ColumnRef, Ident, Sql};

pub(super) fn decompose(scene: &Scene<'_>, all: &[Derive]) -> Result<Parts, PlanError> {
    let mut parts = Parts::default();
    for derive in all {
        one(scene, derive, &mut parts)?;
    }
    Ok(parts)
}

fn one(scene: &Scene<'_>, derive: &Derive, parts: &mut Parts) -> Result<(), PlanError> {
    let table = scene.table(&derive.table)?;
    let unknown = |source| PlanError::Unknown { span: scene.intent.span, source };
    let mut olds = Vec::new();
    for name in &derive.olds {
        olds.push(scene.catalog.require_column(table, name).map_err(unknown)?.clone());
    }
    for old in &olds {
        fits(scene, table, old, parts)?;
    }
    for (_, value) in derive.forward.iter().chain(&derive.reverse) {
        scene.computable(table, value)?;
    }
    let values: Vec<_> =
        derive.forward.iter().chain(&derive.reverse).map(|(_, value)| value).collect();
    let own: Vec<_> =
        derive.olds.iter().chain(derive.columns.iter().map(|one| &one.name)).collect();
    let reads = Scene::reads(table, &values, &own);
    if let Some(column) = reads.iter().find(|column| scene.goes.contains(column)) {
        // Once it is retired, nothing could be computed from it any more.
        return Err(scene.refused(
            format!(
                "this is computed from `{column}`, which the file takes away by a statement that \
                 does not belong to it"
            ),
            "write one UPDATE for the columns that are computed from it, under one WHERE, or drop \
             it in a migration of its own",
        ));
    }
    parts.reads.extend(reads);
    unset(scene)?;
    names(parts, table, &olds, derive);
    hazards(scene, parts, table, &olds, derive);
    let mark = ColumnRef::new(&table.name, &mark(scene, derive));
    let fill = fill(scene, table, &mark.column, derive)?;
    tried(scene, parts, table, derive);
    let sync = both_sides(scene, parts, (olds, derive), &fill);
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
            by_check(scene, parts, &target, None, Phase::Backfill, None);
        } else {
            // What old code writes may come out as NULL, and must not fail while it runs.
            let rule = VerifyRule::NotNull(column.name.clone());
            let verify = Verify { table: table.name.clone(), rule, repair: None };
            parts.step(Phase::Backfill, Action::Verify(verify));
            behind_gate(scene, parts, &target);
        }
    }
    let defaults = derive.columns.iter().filter_map(|one| {
        let default = defined(one).default?;
        Some(TakenOver::Default { column: one.name.clone(), default })
    });
    for column in &gone {
        lost_indexes(table, column, parts);
        let keys = table.constraints_of(&column.column);
        for key in keys.filter(|one| one.kind == ConstraintKind::Foreign) {
            // A value that is kept for a restore must not hold on to rows elsewhere.
            parts.step(Phase::Contract, let_go(scene, table, key));
        }
    }
    let renames = defaults.collect();
    take_all_away(scene, table, &gone, Some(&mark), Some(sync), renames, parts);
    Ok(())
}

/// The hidden column that says which rows are still to be computed.
fn mark(scene: &Scene<'_>, derive: &Derive) -> Ident {
    Ident::new(format!("zdmig_todo_{}", scene.tag(&format!("{} {:?}", derive.table, derive.olds))))
}

/// The fill touches the rows that are marked, and the triggers compute them.
fn fill(
    scene: &Scene<'_>,
    table: &Table,
    mark: &Ident,
    derive: &Derive,
) -> Result<FillRows, PlanError> {
    let done = Assignment {
        column: mark.clone(),
        type_name: "boolean".into(),
        collation: None,
        value: Expr::Verbatim(Sql::new("false")),
    };
    Ok(FillRows {
        table: table.name.clone(),
        // A write of something else leaves a row marked, and may put it anywhere.
        walk: Walk::Key,
        key: scene.key(table)?,
        set: vec![done],
        pending: Pending::Differs,
        does_for: Some(scene.sync_tag(&format!("{} {:?}", table.name, derive.olds))),
        copy: None,
    })
}

/// Asks whether the author's expressions fail for a row that is there.
fn tried(scene: &Scene<'_>, parts: &mut Parts, table: &Table, derive: &Derive) {
    let value = |column: &NewColumn| {
        let (_, value) = derive.forward.iter().find(|(name, _)| *name == column.name)?;
        Some(Assignment::to(&defined(column), value.clone()))
    };
    let as_written = FillRows {
        table: table.name.clone(),
        walk: Walk::Key,
        key: Vec::new(),
        set: derive.columns.iter().filter_map(value).collect(),
        pending: Pending::Where(derive.condition.clone()),
        does_for: None,
        copy: None,
    };
    computes(scene, parts, &as_written);
}

/// Expand and backfill, up to where both sides agree in every row.
fn both_sides(
    scene: &Scene<'_>,
    parts: &mut Parts,
    (olds, derive): (Vec<Column>, &Derive),
    fill: &FillRows,
) -> Sync {
    let back = |name: &Ident| derive.reverse.iter().any(|(column, _)| column == name);
    for old in olds.iter().filter(|one| !one.nullable) {
        if back(&old.name) || old.default.is_none() {
            // Nothing may come of what new code inserts.
            loosen(scene, parts, &ColumnRef::new(&fill.table, &old.name));
        }
    }
    // A column that holds its default must not be told from one that was given that value:
    // new columns get theirs when the old ones go.
    let news: Vec<_> = derive
        .columns
        .iter()
        .map(|one| Column { nullable: true, default: None, ..defined(one) })
        .collect();
    let mark = mark(scene, derive);
    let marked = Column {
        type_name: "boolean".into(),
        default: Some(Default { sql: "true".into(), constant: true }),
        ..Column::bare(mark.clone())
    };
    for (column, default_for_existing) in
        news.iter().map(|one| (one, false)).chain([(&marked, true)])
    {
        let (table, column) = (fill.table.clone(), column.clone());
        let add = AddColumn { table, column, default_for_existing };
        parts.step(Phase::Expand, Action::AddColumn(add));
    }
    let derived = Derived {
        olds,
        news,
        forward: derive.forward.clone(),
        reverse: derive.reverse.clone(),
        defaults: derive.columns.iter().filter_map(stand_in).collect(),
        condition: derive.condition.clone(),
        mark,
    };
    let sync = Sync {
        table: fill.table.clone(),
        tag: fill.does_for.clone().unwrap_or_default(),
        kind: SyncKind::Derive(Box::new(derived)),
    };
    parts.step(Phase::Expand, Action::InstallSync(sync.clone()));
    parts.step(Phase::Backfill, Action::Backfill(fill.clone()));
    let verify = Action::Verify(Verify {
        table: fill.table.clone(),
        rule: VerifyRule::Equal(fill.set[0].clone()),
        repair: Some(fill.clone()),
    });
    parts.step(Phase::Backfill, verify.clone());
    // What old code wrote since may be something that an expression fails for.
    parts.step(Phase::Contract, verify);
    sync
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
    scene.plain_table(table)?;
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
    Ok(())
}

/// What it touches, for the order and for other plans.
fn names(parts: &mut Parts, table: &Table, olds: &[Column], derive: &Derive) {
    parts.shifts.push(table.name.clone());
    parts.holds_whole_row(table);
    for old in olds {
        let column = ColumnRef::new(&table.name, &old.name);
        parts.reshapes_column(&column, Phase::Purge);
        parts.touches.push(column);
        parts.uses.extend(Scene::held_by(old));
        let indexes = table.indexes.iter().filter(|one| one.columns.contains(&old.name));
        let constraints = table.constraints_of(&old.name).map(|one| &one.name);
        let held = indexes.map(|one| &one.name).chain(constraints);
        parts.uses.extend(held.map(|name| Words::name(&[&table.name.name, name])));
        parts.uses.extend(Scene::statistics_named(table, &old.name));
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
        parts.one_way(
            table,
            &old.name,
            format!(
                "nothing says how `{}.{}` follows from {}, so old code would not see what new \
                 code writes",
                table.name,
                old.name,
                news.join(" and ")
            ),
        );
    }
}
