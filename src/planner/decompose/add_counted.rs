//! ADD COLUMN of a serial or an identity. New rows are counted by a sequence at once, rows
//! that exist are counted by the fill, and then the column becomes NOT NULL and an identity.

use super::add_column::{defined, star_readers};
use super::set_not_null::by_check;
use super::{Parts, Scene};
use crate::catalog::{Column, Table, TableKind};
use crate::change::{Counter, NewColumn};
use crate::plan::{
    Action, AddColumn, AddCounted, Assignment, FillRows, MakeIdentity, Pending, Phase, Walk,
};
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, TableName};

/// The steps; `None` where the server may as well count, because there is nothing to count, or
/// where rows cannot be walked along.
pub(super) fn decompose(scene: &Scene<'_>, table: &Table, column: &NewColumn) -> Option<Parts> {
    let counter = column.counter.as_ref()?;
    let walks = !table.key.is_empty() && table.kind == TableKind::Ordinary;
    if table.is_empty() || table.vague || !walks {
        return None;
    }
    let mut parts = Parts::default();
    let target = ColumnRef::new(&table.name, &column.name);
    parts.touches.push(target.clone());
    parts.made.push(Words::name(&[&table.name.name, &column.name]));
    star_readers(scene, &mut parts, table, column);
    let counted = counted(scene, table, column, counter);
    let next = scene.dialect.next_of(&counted.sequence)?;
    let of = Column { nullable: true, type_name: counter.type_name.clone(), ..defined(column) };
    let fill = FillRows {
        table: table.name.clone(),
        walk: Walk::Key,
        key: scene.key(table).ok()?,
        set: vec![Assignment::to(&of, next)],
        pending: Pending::Null(None),
        does_for: None,
        copy: None,
    };
    parts.step(Phase::Expand, Action::AddCounted(counted.clone()));
    parts.step(Phase::Backfill, Action::Backfill(fill.clone()));
    by_check(scene, &mut parts, &target, Some(fill), Phase::Backfill, None);
    if let Some(clause) = &counter.identity {
        let clause = clause.clone();
        parts.step(Phase::Backfill, Action::MakeIdentity(MakeIdentity { counted, clause }));
    }
    Some(parts)
}

fn counted(scene: &Scene<'_>, table: &Table, column: &NewColumn, counter: &Counter) -> AddCounted {
    let sequence = match counter.identity {
        // The identity makes one of its own, under the name that the server chooses.
        Some(_) => scene.working(&format!("{}.{} counts", table.name, column.name)),
        None => free(scene, table, &counter.sequence),
    };
    let inserts = |privilege: &str| privilege.eq_ignore_ascii_case("insert");
    AddCounted {
        add: AddColumn {
            table: table.name.clone(),
            column: Column {
                nullable: true,
                default: None,
                type_name: counter.type_name.clone(),
                ..defined(column)
            },
            default_for_existing: false,
        },
        sequence: TableName { schema: table.name.schema.clone(), name: sequence },
        options: counter.options.clone(),
        inserters: table
            .grants
            .iter()
            .filter(|grant| inserts(&grant.privilege))
            .map(|grant| grant.role.clone())
            .collect(),
    }
}

/// The name that the server would choose, with a number where it is taken.
fn free(scene: &Scene<'_>, table: &Table, name: &Ident) -> Ident {
    let taken = |name: &Ident| {
        let full = TableName { schema: table.name.schema.clone(), name: name.clone() };
        let catalog = scene.catalog;
        let object = |one: &crate::catalog::Object| one.kind == "sequence" && one.name == full;
        catalog.find(&full).is_some()
            || catalog.index(&full).is_some()
            || catalog.objects.iter().any(object)
    };
    let numbered = |number: u32| Ident::new(format!("{name}{number}"));
    if !taken(name) {
        return name.clone();
    }
    (1..=u32::MAX).map(numbered).find(|name| !taken(name)).unwrap_or_else(|| name.clone())
}
