//! ALTER COLUMN … TYPE. A type that holds every value of the old one in the same bytes is
//! changed in place; any other writes the whole table anew.

use super::{Aspect, Parts, Scene};
use crate::catalog::DependentKind;
use crate::change::NewType;
use crate::plan::{Action, Phase, Verbatim};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::Sql;

pub(super) fn decompose(scene: &Scene<'_>, change: &NewType) -> Result<Parts, PlanError> {
    let column = &change.column;
    let table = scene.table(&column.table)?;
    let unknown = |source| PlanError::Unknown { span: scene.intent.span, source };
    let known = scene.catalog.require_column(table, &column.column).map_err(unknown)?;
    let mut parts = Parts::default();
    parts.touches.push(column.clone());
    let in_place = scene.dialect.retypes_in_place(table, known, change);
    let aspect = if in_place { Aspect::Type } else { Aspect::Whole };
    parts.reshapes.push((aspect, Words::name(&[&column.table.name, &column.column])));
    if let Some(dependent) = table
        .dependents_of(&column.column)
        .find(|one| matches!(one.kind, DependentKind::View | DependentKind::Other))
    {
        return Err(scene.refused(
            format!("`{column}` is used by {}, which keeps its type", dependent.what),
            format!(
                "drop the {} before and create it again after, in the same file",
                dependent.what
            ),
        ));
    }
    let one = Verbatim {
        sql: vec![Sql::new(change.sql.as_str())],
        ..super::verbatim::statement(scene, false)
    };
    parts.step(Phase::Expand, Action::Verbatim(one));
    if table.is_empty() {
        return Ok(parts);
    }
    if in_place {
        if scene.can.cached_plans {
            parts.hazard(
                "star-readers",
                format!(
                    "a prepared query that selects `{column}` fails once when its type changes"
                ),
                "use a driver that prepares again",
            );
        }
    } else {
        parts.hazard(
            "table-rewrite",
            format!(
                "`{column}` from {} to {}: `{}` is written anew, and nobody reads or writes it \
                 meanwhile",
                known.type_name, change.type_name, table.name
            ),
            "add a column of the new type, fill it with UPDATE and drop the old one in the same \
             file: that is done without stopping anybody",
        );
    }
    Ok(parts)
}
