//! SET NOT NULL. A valid check proves it, so that nothing is read under the strongest lock:
//! the check is added unvalidated, validated beside readers and writers, and dropped once
//! the column is NOT NULL.

use super::verbatim::{statement, unset};
use super::{Aspect, Parts, Scene};
use crate::catalog::TableKind;
use crate::plan::{
    Action, Assignment, FillRows, NotNullCheck, Pending, Phase, Sync, SyncKind, Target, Use,
    Verify, VerifyRule,
};
use crate::planner::PlanError;
use crate::planner::intent::{RowFill, Words};
use crate::sql::ColumnRef;

pub(super) fn decompose(
    scene: &Scene<'_>,
    column: &ColumnRef,
    fill: Option<&RowFill>,
) -> Result<Parts, PlanError> {
    let table = scene.table(&column.table)?;
    let mut parts = Parts::default();
    parts.touches.push(column.clone());
    parts.reshapes.push((Aspect::Null, Words::name(&[&column.table.name, &column.column])));
    let known = scene.catalog.column(table, &column.column);
    if known.is_some_and(|one| !one.nullable) {
        return Ok(parts);
    }
    if !scene.can.alter_column {
        return Err(scene.refused(
            format!("this database cannot make `{column}` NOT NULL in place"),
            "rebuild the table in a maintenance window, or refuse NULL with a trigger that you \
             write under `-- zdmig:expand`",
        ));
    }
    parts.targets.push(Target { column: column.clone(), ends: Use::NullWrites, replaced_by: None });
    if fill.is_some() {
        scene.whole_table(table)?;
    }
    // A check goes down to partitions; to tables that inherit otherwise it may not fit.
    let parted = table.kind == TableKind::Partitioned && table.partitions.is_empty();
    if parted || table.kind == TableKind::View {
        parts.step(Phase::Contract, Action::Verbatim(statement(scene, false)));
        parts.held(table, "reads all rows");
        return Ok(parts);
    }
    scene.nothing_retired(table)?;
    let Some((fill, known)) = fill.zip(known) else {
        // Nobody said what NULLs become: there must be none, and the gate must find no code
        // that writes one.
        let rule = VerifyRule::NotNull(column.column.clone());
        parts.premise(&format!("NOT NULL of {column}"), &column.table, rule);
        parts.step(Phase::Backfill, Action::Verify(not_null(column, None)));
        behind_gate(scene, &mut parts, column);
        return Ok(parts);
    };
    scene.computable(table, &fill.value)?;
    unset(scene)?;
    parts.reads.extend(Scene::reads(table, &[&fill.value], &[&column.column]));
    let sync = fill_null(scene, &mut parts, column, fill);
    let (walk, key) = scene.walk(table, std::slice::from_ref(&column.column))?;
    let rows = FillRows {
        table: table.name.clone(),
        walk,
        key,
        set: vec![Assignment::to(known, fill.value.clone())],
        pending: Pending::Null(None),
        does_for: Some(sync.tag.clone()),
        copy: None,
    };
    parts.step(Phase::Backfill, Action::Backfill(rows.clone()));
    by_check(scene, &mut parts, column, Some(rows), Phase::Contract, Some(sync));
    Ok(parts)
}

/// A trigger that gives a column its value where code leaves it NULL.
pub(super) fn fill_null(
    scene: &Scene<'_>,
    parts: &mut Parts,
    column: &ColumnRef,
    fill: &RowFill,
) -> Sync {
    let sync = Sync {
        table: column.table.clone(),
        tag: scene.sync_tag(&column.to_string()),
        kind: SyncKind::FillNull {
            column: column.column.clone(),
            value: fill.value.clone(),
            condition: fill.condition.clone(),
        },
    };
    parts.step(Phase::Expand, Action::InstallSync(sync.clone()));
    sync
}

/// Checks once no code writes NULL any more, and makes it NOT NULL.
pub(super) fn behind_gate(scene: &Scene<'_>, parts: &mut Parts, column: &ColumnRef) {
    let mut check = check(scene, column, None, Phase::Contract);
    // A table that is attached meanwhile would have to have the check as well.
    let parted = scene.catalog.find(&column.table).is_some_and(|one| !one.partitions.is_empty());
    check.goes_at_once = parted;
    parts.step(Phase::Contract, Action::Verify(not_null(column, None)));
    parts.step(Phase::Contract, Action::AddNotNullCheck(check.clone()));
    parts.step(Phase::Contract, Action::ValidateNotNull(check.clone()));
    parts.step(Phase::Contract, Action::SetNotNull(check.clone()));
    if !parted {
        parts.step(Phase::Purge, Action::DropNotNullCheck(check));
    }
}

/// Proves and checks in backfill, makes it NOT NULL in `last`.
pub(super) fn by_check(
    scene: &Scene<'_>,
    parts: &mut Parts,
    column: &ColumnRef,
    repair: Option<FillRows>,
    last: Phase,
    sync: Option<Sync>,
) {
    parts.step(Phase::Backfill, Action::Verify(not_null(column, repair)));
    let check = check(scene, column, sync, last);
    parts.step(Phase::Backfill, Action::AddNotNullCheck(check.clone()));
    parts.step(Phase::Backfill, Action::ValidateNotNull(check.clone()));
    parts.step(last, Action::SetNotNull(check.clone()));
    if !check.goes_at_once {
        parts.step(Phase::Purge, Action::DropNotNullCheck(check));
    }
}

fn check(scene: &Scene<'_>, column: &ColumnRef, sync: Option<Sync>, last: Phase) -> NotNullCheck {
    NotNullCheck {
        column: column.clone(),
        check: scene.working(&format!("{column} not null")),
        sync,
        goes_at_once: last == Phase::Backfill,
    }
}

fn not_null(column: &ColumnRef, repair: Option<FillRows>) -> Verify {
    Verify { table: column.table.clone(), rule: VerifyRule::NotNull(column.column.clone()), repair }
}
