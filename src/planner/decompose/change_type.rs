//! ALTER COLUMN … TYPE. A type that holds every value of the old one in the same bytes is
//! changed in place. Any other waits for the gate, because code that runs gets the new type
//! under the old name; its values are converted before, in a hidden column.

use super::retype_column::{self, Converted};
use super::{Aspect, Parts, Scene};
use crate::catalog::{Column, DependentKind, Table};
use crate::dialect::Retyping;
use crate::plan::{Action, Phase, SetDefault, Target, Use, Verbatim};
use crate::planner::PlanError;
use crate::planner::intent::{TypeChange, Words};
use crate::sql::{Ident, Sql, TableName};

pub(super) fn decompose(
    scene: &Scene<'_>,
    table: &TableName,
    changes: &[TypeChange],
) -> Result<Parts, PlanError> {
    let table = scene.table(table)?;
    let mut parts = Parts::default();
    parts.shifts.push(table.name.clone());
    let mut converted = Vec::new();
    let mut whole = Vec::new();
    for change in changes {
        let column = &change.new.column;
        let unknown = |source| PlanError::Unknown { span: scene.intent.span, source };
        let known = scene.catalog.require_column(table, &column.column).map_err(unknown)?;
        free(scene, table, known)?;
        parts.touches.push(column.clone());
        if change.drops_default && change.default.is_none() {
            let column = column.clone();
            parts.targets.push(Target { column, ends: Use::NullWrites, replaced_by: None });
        }
        match scene.dialect.retyping(scene.catalog, table, known, &change.new) {
            Retyping::InPlace => in_place(scene, table, change, &mut parts),
            Retyping::Converted(conversion)
                if !scene.dialect.new_column_rewrites(scene.catalog, &change.new.type_name) =>
            {
                converted.push(Converted { change, column: known, conversion });
            }
            Retyping::Converted(conversion) => {
                let back = conversion.exact || table.is_empty() && conversion.reverse.is_some();
                whole.push((change, known, change.new.type_name.clone(), back));
            }
            Retyping::Whole => whole.push((change, known, change.new.type_name.clone(), false)),
        }
    }
    let wanted = !table.is_empty() && scene.migration.allows("table-rewrite").is_none();
    let obstacle = retype_column::obstacle(scene, table, &converted);
    if wanted && obstacle.is_none() {
        retype_column::decompose(scene, table, &converted, &mut parts)?;
        converted.clear();
    }
    let rest = converted.iter().map(|one| {
        let conversion = &one.conversion;
        let back = conversion.exact || table.is_empty() && conversion.reverse.is_some();
        (one.change, one.column, conversion.type_name.clone(), back)
    });
    for (change, known, type_name, back) in rest.chain(whole) {
        // What nothing brings back has no place in contract, which can be restored.
        let phase = if back { Phase::Contract } else { Phase::Purge };
        let one = (change, known, type_name.as_str());
        rewritten(scene, table, one, phase, obstacle.as_deref(), &mut parts);
    }
    Ok(parts)
}

/// The server refuses a change of type under what shows the column.
fn free(scene: &Scene<'_>, table: &Table, column: &Column) -> Result<(), PlanError> {
    let holds = |kind: DependentKind| matches!(kind, DependentKind::View | DependentKind::Other);
    match table.dependents_of(&column.name).find(|one| holds(one.kind)) {
        Some(dependent) => Err(scene.refused(
            format!(
                "`{}.{}` is used by {}, which keeps its type",
                table.name, column.name, dependent.what
            ),
            format!(
                "drop the {} before and create it again after, in the same file",
                dependent.what
            ),
        )),
        None => Ok(()),
    }
}

/// The author's statements for one column, as they stand.
fn as_written(
    scene: &Scene<'_>,
    table: &Table,
    change: &TypeChange,
    phase: Phase,
    parts: &mut Parts,
) {
    let column = &change.new.column;
    let known = scene.catalog.column(table, &column.column);
    let before = known.and_then(|one| one.default.as_ref());
    let before = before.map(|default| Sql::new(default.sql.as_str()));
    if change.drops_default {
        let one = SetDefault { column: column.clone(), default: None, before: before.clone() };
        parts.step(phase, Action::SetDefault(one));
    }
    let one = Verbatim {
        sql: vec![Sql::new(change.new.sql.as_str())],
        ..super::verbatim::statement(scene, false)
    };
    parts.step(phase, Action::Verbatim(one));
    if let Some((default, _)) = &change.default {
        let default = Some(Sql::new(default.as_str()));
        let before = before.filter(|_| !change.drops_default);
        let one = SetDefault { column: column.clone(), default, before };
        parts.step(phase, Action::SetDefault(one));
    }
}

fn in_place(scene: &Scene<'_>, table: &Table, change: &TypeChange, parts: &mut Parts) {
    let column = &change.new.column;
    parts.reshapes.push((Aspect::Type, Words::name(&[&column.table.name, &column.column])));
    as_written(scene, table, change, Phase::Expand, parts);
    if scene.can.cached_plans && !table.is_empty() {
        parts.hazard(
            "star-readers",
            format!("a prepared query that selects `{column}` fails once when its type changes"),
            "use a driver that prepares again",
        );
    }
}

/// The server writes the table anew, behind the gate.
fn rewritten(
    scene: &Scene<'_>,
    table: &Table,
    (change, known, type_name): (&TypeChange, &Column, &str),
    phase: Phase,
    obstacle: Option<&str>,
    parts: &mut Parts,
) {
    let column = &change.new.column;
    parts.reshapes_column(column, phase);
    parts.converts.push(table.name.clone());
    parts.uses.extend(Scene::held_by(known));
    parts.late.push((phase, Words::name(&[&table.name.name, &Ident::new("*")])));
    as_written(scene, table, change, phase, parts);
    let ends = Use::Retypes(type_name.to_owned());
    parts.targets.push(Target { column: column.clone(), ends, replaced_by: None });
    if table.is_empty() {
        return;
    }
    let why = match obstacle {
        Some(why) => format!("; it cannot be converted beside everybody, because {why}"),
        None => String::new(),
    };
    parts.hazard(
        "table-rewrite",
        format!(
            "`{column}` from {} to {type_name}: `{}` is written anew, and nobody reads or writes \
             it meanwhile{why}",
            known.type_name, table.name
        ),
        "remove the obstacle, or allow it where the table is small or stands still",
    );
}
