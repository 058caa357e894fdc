//! DROP TABLE: contract renames the tables away, which a restore takes back in a moment;
//! purge drops them, and nothing that was not listed.

use super::drop_constraint::let_go;
use super::{Aspect, Parts, Scene};
use crate::catalog::{ConstraintKind, Dependent, DependentKind};
use crate::plan::{Action, Phase, RetireTables, Target};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, TableName};

pub(super) fn decompose(scene: &Scene<'_>, tables: &[TableName]) -> Result<Parts, PlanError> {
    let mut parts = Parts::default();
    for name in tables {
        let table = scene.table(name)?;
        let outside = |from: &str| tables.iter().all(|one| !same(from, one));
        if let Some(incoming) = table
            .constraints
            .iter()
            .find(|one| one.kind == ConstraintKind::Incoming && outside(&one.definition))
        {
            return Err(scene.refused(
                format!(
                    "the foreign key `{}` of `{}` points to `{name}`",
                    incoming.name, incoming.definition
                ),
                format!(
                    "drop it first: ALTER TABLE {} DROP CONSTRAINT {}",
                    incoming.definition, incoming.name
                ),
            ));
        }
        let view = |one: &&Dependent| one.kind == DependentKind::View;
        if let Some(dependent) = table.dependents.iter().find(view) {
            return Err(scene.refused(
                format!("`{name}` is used by {}", dependent.what),
                format!("drop the {} first, in the same file or before it", dependent.what),
            ));
        }
        parts.touches.push(ColumnRef::new(&table.name, &Ident::new("*")));
        parts.targets.push(Target::relation(&table.name));
        parts.reshapes.push((Aspect::Whole, Words::name(&[&table.name.name])));
        parts.late.push((Phase::Purge, Words::name(&[&table.name.name])));
        parts.uses.extend(table.columns.iter().flat_map(Scene::held_by));
        parts.uses.extend(table.triggers.iter().map(|one| Words::name(&[&one.function.name])));
        // Its indexes and constraints keep their names until it is dropped.
        for name in table.indexes.iter().map(|one| &one.name) {
            parts.late.push((Phase::Purge, Words::name(&[name])));
        }
    }
    for name in tables {
        let table = scene.table(name)?;
        // A row that is kept for a restore must not hold on to rows that new code deletes.
        for key in table.constraints.iter().filter(|one| one.kind == ConstraintKind::Foreign) {
            parts.step(Phase::Contract, let_go(scene, table, key));
        }
    }
    let retired = |table: &TableName| {
        (table.clone(), Ident::new(format!("zdmig_retired_{}", scene.tag(&table.to_string()))))
    };
    let tables = RetireTables { tables: tables.iter().map(retired).collect() };
    parts.step(Phase::Contract, Action::RetireTables(tables.clone()));
    parts.step(Phase::Purge, Action::DropTables(tables));
    Ok(parts)
}

/// Whether a table as the server prints it, with or without its schema, is this one.
fn same(shown: &str, table: &TableName) -> bool {
    let bare = shown.replace('"', "");
    bare == table.name.as_str() || bare == table.to_string().replace('"', "")
}
