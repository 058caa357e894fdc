//! DROP CONSTRAINT. A check and a foreign key only forbid, so without them everything goes
//! on; a unique constraint may be what `ON CONFLICT` of running code rests on.

use super::{Aspect, Parts, Scene};
use crate::catalog::{Constraint, ConstraintKind, Table};
use crate::plan::{Action, DropConstraint, Phase, Target, Use};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, TableName};

pub(super) fn decompose(
    scene: &Scene<'_>,
    table: &TableName,
    name: &Ident,
) -> Result<Parts, PlanError> {
    let table = scene.table(table)?;
    let ours = |one: &&Constraint| one.name == *name && one.kind != ConstraintKind::Incoming;
    let Some(constraint) = table.constraints.iter().find(ours) else {
        let names: Vec<_> = table.constraints.iter().map(|one| one.name.as_str()).collect();
        return Err(scene.refused(
            format!("table `{}` has no constraint `{name}`", table.name),
            format!("it has: {}", names.join(", ")),
        ));
    };
    let incoming = |one: &&Constraint| {
        one.kind == ConstraintKind::Incoming && same_columns(&one.columns, &constraint.columns)
    };
    let keys = |one: &crate::catalog::Index| {
        one.unique && one.name != *name && same_columns(&one.keys, &constraint.columns)
    };
    let held = matches!(constraint.kind, ConstraintKind::Primary | ConstraintKind::Unique)
        && !table.indexes.iter().any(keys);
    if let Some(other) = table.constraints.iter().find(incoming).filter(|_| held) {
        return Err(scene.refused(
            format!("the foreign key `{}` of `{}` rests on `{name}`", other.name, other.definition),
            format!(
                "drop it first: ALTER TABLE {} DROP CONSTRAINT {}",
                other.definition, other.name
            ),
        ));
    }
    let touched = constraint.columns.iter().map(|column| ColumnRef::new(&table.name, column));
    let mut parts = Parts { touches: touched.collect(), ..Parts::default() };
    parts.reshapes.push((Aspect::Whole, Words::name(&[name])));
    let column = |column| Words::name(&[&table.name.name, column]);
    let columns: Vec<_> = constraint.columns.iter().map(column).collect();
    let keyed = matches!(constraint.kind, ConstraintKind::Primary | ConstraintKind::Unique);
    let phase = if keyed { Phase::Contract } else { Phase::Expand };
    if keyed {
        for column in &constraint.columns {
            let column = ColumnRef::new(&table.name, column);
            parts.permits.push(column.clone());
            parts.targets.push(Target { column, ends: Use::Upserts, replaced_by: None });
        }
        parts.late.push((phase, Words::name(&[name])));
        parts.frees.extend(columns.into_iter().map(|name| (phase, name)));
        // Whatever else will be the key of the table.
        if constraint.kind == ConstraintKind::Primary {
            parts.late.push((phase, Words::name(&[&table.name.name, &Ident::new("primary")])));
        }
    }
    parts.hazard(
        "drops-constraint",
        format!("from {phase} on nothing keeps rows from breaking `{name}`"),
        "make sure that all code which can still run copes with such rows",
    );
    parts.step(phase, let_go(scene, table, constraint));
    Ok(parts)
}

/// Drops a constraint that the catalogue knows.
pub(super) fn let_go(scene: &Scene<'_>, table: &Table, constraint: &Constraint) -> Action {
    Action::DropConstraint(DropConstraint {
        table: table.name.clone(),
        name: constraint.name.clone(),
        definition: constraint.definition.clone(),
        references: constraint.references.clone(),
        working: scene.working(&format!("{}.{} again", table.name, constraint.name)),
    })
}

fn same_columns(a: &[Ident], b: &[Ident]) -> bool {
    a.len() == b.len() && a.iter().all(|name| b.contains(name))
}
