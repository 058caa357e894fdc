//! RENAME of a table, or SET SCHEMA: the old name goes on as a view until nobody uses it.

use super::{Aspect, Parts, Scene};
use crate::plan::{Action, Phase, RenameTable, Target};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, TableName};

pub(super) fn decompose(
    scene: &Scene<'_>,
    table: &TableName,
    to: &TableName,
) -> Result<Parts, PlanError> {
    let found = scene.table(table)?;
    let mut parts = Parts::default();
    for name in [table, to] {
        parts.touches.push(ColumnRef::new(name, &Ident::new("*")));
    }
    parts.reshapes.push((Aspect::Whole, Words::name(&[&table.name])));
    parts.made.push(Words::name(&[&to.name]));
    parts.late.push((Phase::Contract, Words::name(&[&table.name])));
    if !scene.can.table_alias {
        return Err(scene.refused(
            format!(
                "this database has no view that could stand for `{table}` when it is written to"
            ),
            "create the new table, copy in sections, and drop the old one",
        ));
    }
    let rename = RenameTable {
        from: table.clone(),
        to: to.clone(),
        alias: true,
        grants: found.grants.clone(),
    };
    parts.step(Phase::Expand, Action::RenameTable(rename.clone()));
    parts.hazard(
        "alias-view",
        format!(
            "until contract `{table}` is a view: TRUNCATE, COPY, MERGE, LOCK and foreign keys \
             by that name fail, and it shows no system columns"
        ),
        "allow it where no running code does that",
    );
    parts.targets.push(Target::relation(table));
    parts.step(Phase::Contract, Action::DropAlias(rename));
    Ok(parts)
}
