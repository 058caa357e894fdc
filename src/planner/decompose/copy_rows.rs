//! INSERT of what a query finds in one table: in chunks along that table's key.

use super::Scene;
use crate::catalog::{Object, Table, TableKind};
use crate::change::Plain;
use crate::plan::{CopyRows, FillRows, Pending, Walk};
use crate::sql::Sql;

/// The fill that copies the rows; `None` where chunks would not do what the statement does in one
/// piece.
pub(super) fn fill(scene: &Scene<'_>, plain: &Plain) -> Option<FillRows> {
    let copies = plain.copies.as_ref()?;
    let from = scene.catalog.find(&copies.from)?;
    let into = plain.on.as_ref()?;
    let into = scene.catalog.find(into)?;
    // Chunks must not meet again what they, or a trigger or a rule of the other table, inserted.
    let rule = |one: &Object| one.kind == "rule" && one.on.as_ref() == Some(&into.name.name);
    let acts = into.triggers.iter().any(|one| one.definition.contains("INSERT"))
        || scene.catalog.objects.iter().any(rule);
    let itself = from.name == into.name
        || from.partitions.contains(&into.name)
        || into.partitions.contains(&from.name);
    let whole = |table: &Table| table.kind == TableKind::View || table.vague;
    let one_family = from.kind != TableKind::Ordinary && into.kind != TableKind::Ordinary;
    if acts || itself || one_family || whole(from) || whole(into) || from.key.is_empty() {
        return None;
    }
    // In one piece a row that comes to another's is an error, whatever the size of a chunk.
    let apart =
        copies.upserts.as_ref().is_none_or(|given| from.key.iter().all(|one| given.contains(one)));
    if !apart || !scene.intent.settings.is_empty() {
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
            into: into.name.clone(),
            head: Sql::new(copies.head.as_str()),
            tail: (!copies.tail.is_empty()).then(|| Sql::new(copies.tail.as_str())),
        }),
    })
}
