//! RENAME COLUMN of a column that cannot have a copy: a key that others point to, an
//! identity, what a view shows. It is renamed in place, and a view under the table's name
//! shows it by both names until nobody uses the old one.

use super::drop_column::droppable;
use super::{Aspect, Parts, Scene};
use crate::catalog::{Column, ConstraintKind, Table, TableKind};
use crate::plan::{Action, AliasColumn, Phase, Target, Use};
use crate::planner::intent::{Replace, Words};
use crate::planner::walks;
use crate::sql::{ColumnRef, Ident};

/// Whether a rename must be made in this way, and can be.
pub(super) fn needed(scene: &Scene<'_>, table: &Table, old: &Column, replace: &Replace) -> bool {
    let free = scene.catalog.column(table, &replace.new).is_none();
    let keyed = table
        .constraints_of(&old.name)
        .any(|one| matches!(one.kind, ConstraintKind::Primary | ConstraintKind::Exclusion));
    let copied = table.kind == TableKind::Ordinary
        && !keyed
        && walks(scene.dialect, scene.catalog, table)
        && old.peculiar.is_empty()
        && !scene.dialect.new_column_rewrites(scene.catalog, &old.type_name)
        && droppable(scene, table, &old.name, &mut Parts::default()).is_ok();
    let alone = table.retired.is_empty() && table.kind != TableKind::View;
    replace.definition.is_none() && scene.can.table_alias && free && alone && !copied
}

/// Renames in place.
pub(super) fn decompose(scene: &Scene<'_>, table: &Table, replace: &Replace) -> Parts {
    let mut parts = Parts::default();
    let from = ColumnRef::new(&table.name, &replace.old);
    let to = ColumnRef::new(&table.name, &replace.new);
    parts.touches.push(ColumnRef::new(&table.name, &Ident::new("*")));
    parts.reshapes.push((Aspect::Whole, Words::name(&[&table.name.name])));
    parts.made.push(Words::name(&[&table.name.name, &replace.new]));
    // What changes the table itself must wait until it has its name back.
    parts.late.push((Phase::Contract, Words::name(&[&table.name.name])));
    let alias = AliasColumn {
        column: from.clone(),
        to: replace.new.clone(),
        base: Ident::new(format!("zdmig_base_{}", scene.tag(&from.to_string()))),
        grants: table.grants.clone(),
    };
    parts.step(Phase::Expand, Action::AliasColumn(alias.clone()));
    parts.hazard(
        "alias-view",
        format!(
            "until contract `{}` is a view with `{}` under both names: TRUNCATE, COPY, MERGE, LOCK \
             and foreign keys by that name fail, and `SELECT *` shows both",
            table.name, replace.old
        ),
        "allow it where no running code does that",
    );
    parts.targets.push(Target { column: from, ends: Use::Any, replaced_by: Some(to) });
    parts.step(Phase::Contract, Action::DropColumnAlias(alias));
    parts
}
