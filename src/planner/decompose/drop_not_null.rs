//! ALTER COLUMN … DROP NOT NULL: it only allows more, so new code finds it done.

use super::{Aspect, Parts, Scene};
use crate::plan::{Action, DropNotNull, Phase};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::ColumnRef;

pub(super) fn decompose(scene: &Scene<'_>, column: &ColumnRef) -> Result<Parts, PlanError> {
    let table = scene.table(&column.table)?;
    let mut parts = Parts::default();
    parts.touches.push(column.clone());
    parts.reshapes.push((Aspect::Null, Words::name(&[&column.table.name, &column.column])));
    if scene.catalog.column(table, &column.column).is_some_and(|known| known.nullable) {
        return Ok(parts);
    }
    if !scene.can.alter_column {
        return Err(scene.refused(
            format!("this database cannot make `{column}` nullable in place"),
            "rebuild the table in a maintenance window",
        ));
    }
    parts.step(Phase::Expand, nullable(scene, column));
    parts.hazard(
        "readers-see-null",
        format!("old code may read NULL in `{column}` in rows that new code writes"),
        "deploy code that can read NULL there before code that writes it",
    );
    Ok(parts)
}

/// Lets a column be NULL.
pub(super) fn nullable(scene: &Scene<'_>, column: &ColumnRef) -> Action {
    Action::DropNotNull(DropNotNull {
        column: column.clone(),
        check: scene.working(&format!("{column} not null")),
    })
}
