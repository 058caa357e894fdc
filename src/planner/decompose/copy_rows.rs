//! INSERT of what a query finds in one table: in chunks along that table's key.

use super::Scene;
use crate::catalog::{Object, TableKind};
use crate::change::Plain;
use crate::plan::{CopyRows, FillRows, Pending, Walk};
use crate::sql::Sql;

/// The fill that copies the rows; `None` where chunks would not do what the statement does in one
/// piece.
pub(super) fn fill(scene: &Scene<'_>, plain: &Plain) -> Option<FillRows> {
    let copies = plain.copies.as_ref()?;
    let from = scene.catalog.find(&copies.from)?;
    let into = plain.on.as_ref()?;
    let target = scene.catalog.find(into);
    let into = target.map_or(into, |table| &table.name);
    // Whether chunks would meet again what they inserted.
    let itself = from.name == *into
        || from.partitions.contains(into)
        || target.is_some_and(|table| table.partitions.contains(&from.name));
    let known = |name: &crate::sql::Ident| {
        let function = |one: &Object| one.kind == "function" && one.name.name == *name;
        scene.catalog.objects.iter().any(function)
    };
    let walks = from.kind != TableKind::View && !from.vague && !from.key.is_empty();
    let as_written = scene.intent.settings.is_empty() && copies.calls.iter().all(known);
    if itself || !walks || !as_written {
        return None;
    }
    Some(FillRows {
        table: from.name.clone(),
        walk: Walk::Key,
        key: scene.key(from).ok()?,
        set: Vec::new(),
        pending: Pending::Where(copies.condition.as_deref().map(Sql::new)),
        does_for: None,
        copy: Some(CopyRows {
            into: into.clone(),
            head: Sql::new(copies.head.as_str()),
            tail: (!copies.tail.is_empty()).then(|| Sql::new(copies.tail.as_str())),
        }),
    })
}
