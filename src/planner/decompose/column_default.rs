//! SET DEFAULT is there before the new code is; DROP DEFAULT waits until no code leaves the
//! column out any more.

use super::{Aspect, Parts, Scene};
use crate::plan::{Action, Phase, SetDefault, Target, Use};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Sql};

/// ALTER COLUMN … SET DEFAULT.
pub(super) fn set(
    scene: &Scene<'_>,
    column: &ColumnRef,
    default: &str,
) -> Result<Parts, PlanError> {
    change(scene, column, Some(Sql::new(default)), Phase::Expand)
}

/// ALTER COLUMN … DROP DEFAULT.
pub(super) fn drop(scene: &Scene<'_>, column: &ColumnRef) -> Result<Parts, PlanError> {
    let mut parts = change(scene, column, None, Phase::Contract)?;
    if !parts.steps.is_empty() {
        let column = column.clone();
        parts.targets.push(Target { column, ends: Use::NullWrites, replaced_by: None });
    }
    Ok(parts)
}

fn change(
    scene: &Scene<'_>,
    column: &ColumnRef,
    default: Option<Sql>,
    phase: Phase,
) -> Result<Parts, PlanError> {
    let table = scene.table(&column.table)?;
    if !scene.can.alter_column {
        return Err(scene.refused(
            format!("this database cannot change the default of `{column}` in place"),
            "rebuild the table in a maintenance window",
        ));
    }
    let mut parts = Parts::default();
    parts.touches.push(column.clone());
    let known = scene.catalog.column(table, &column.column);
    let before = known.and_then(|one| one.default.as_ref()).map(|one| Sql::new(one.sql.as_str()));
    if default.is_none() && before.is_none() {
        return Ok(parts);
    }
    let name = Words::name(&[&column.table.name, &column.column]);
    parts.reshapes.push((Aspect::Default, name.clone()));
    parts.frees.push((phase, name));
    let column = column.clone();
    parts.step(phase, Action::SetDefault(SetDefault { column, default, before }));
    Ok(parts)
}
