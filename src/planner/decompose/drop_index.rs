//! DROP INDEX: contract, because queries of running code may need it to be fast.

use super::{Aspect, Parts, Scene};
use crate::catalog::TableKind;
use crate::plan::{Action, IndexBuild, Phase, Target, Use};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, TableName};

pub(super) fn decompose(
    scene: &Scene<'_>,
    table: &TableName,
    index: &Ident,
) -> Result<Parts, PlanError> {
    let table = scene.table(table)?;
    let mut parts = Parts::default();
    let Some(found) = table.indexes.iter().find(|one| one.name == *index) else {
        return Ok(parts);
    };
    parts.touches =
        found.columns.iter().map(|column| ColumnRef::new(&table.name, column)).collect();
    if let Some(constraint) = &found.constraint {
        return Err(scene.refused(
            format!("index `{index}` belongs to the constraint `{constraint}`"),
            "drop the constraint instead, under `-- zdmig:contract uses=table.column`",
        ));
    }
    if found.unique {
        // `ON CONFLICT (column)` of running code fails without it.
        for key in &found.keys {
            parts.targets.push(Target {
                column: ColumnRef::new(&table.name, key),
                ends: Use::Upserts,
                replaced_by: None,
            });
        }
    }
    let twice = found.columns.iter().filter(|_| found.unique);
    parts.permits.extend(twice.map(|column| ColumnRef::new(&table.name, column)));
    let name = Words::name(&[index]);
    parts.reshapes.push((Aspect::Whole, name.clone()));
    parts.late.push((Phase::Contract, name));
    for column in &found.columns {
        parts.frees.push((Phase::Contract, Words::name(&[&table.name.name, column])));
    }
    let online = table.kind != TableKind::Partitioned;
    let index = IndexBuild { online, ..IndexBuild::existing(&table.name, found) };
    parts.step(Phase::Contract, Action::DropIndex(index));
    Ok(parts)
}
