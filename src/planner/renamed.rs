//! What a rollback makes again by a definition of before, while a table bears its new name and
//! a view the old one. Made as it stands, it would rest on the view, which could then not go.

use std::collections::BTreeMap;

use crate::catalog::Catalog;
use crate::plan::{Action, AliasColumn, Lowered, Step, StepId, Undo};
use crate::sql::{Ident, Sql, TableName, mentions};

/// The table has its old name while that is done; and what is locked then, is told by its new.
pub(super) fn by_old_names(steps: &mut [Step], numbers: &BTreeMap<StepId, usize>) {
    for at in 0..steps.len() {
        let (before, rest) = steps.split_at_mut(at);
        let Some(step) = rest.first_mut() else { return };
        if !matches!(step.action, Action::Verbatim(_)) {
            continue;
        }
        let later = |other: &&Step| numbers.get(&other.id) > numbers.get(&step.id);
        let renames: Vec<_> = before
            .iter()
            .filter(later)
            .filter_map(|other| Some((renamed(&other.action)?, &other.lowered)))
            .collect();
        for ((from, now), _) in &renames {
            let from = from.to_string();
            for lock in step.lowered.locks.iter_mut().filter(|lock| lock.object == from) {
                lock.object = now.to_string();
            }
        }
        if let Undo::Run(undo) = &mut step.lowered.undo {
            let meant = |((from, _), _): &&((TableName, TableName), &Lowered)| {
                undo.iter().any(|sql| mentions(sql.as_str(), from.name.as_str()))
            };
            let renames: Vec<_> = renames.iter().filter(meant).collect();
            let back = renames.iter().rev().flat_map(|(_, lowered)| match &lowered.undo {
                Undo::Run(sql) => sql.as_slice(),
                _ => &[],
            });
            let forth = renames.iter().flat_map(|(_, lowered)| &lowered.sql);
            *undo = back.chain(&*undo).chain(forth).cloned().collect();
        }
    }
}

/// A table's name and the one that it has once this is done, where a view is about the old one.
fn renamed(action: &Action) -> Option<(TableName, TableName)> {
    let base =
        |one: &AliasColumn| one.column.table.renamed(&TableName::new(None, one.base.as_str()));
    match action {
        Action::RenameTable(one) => Some((one.from.clone(), one.from.renamed(&one.to))),
        Action::AliasColumn(one) => Some((one.column.table.clone(), base(one))),
        Action::DropColumnAlias(one) => Some((base(one), one.column.table.clone())),
        _ => None,
    }
}

/// Whether statements name a table or a column that was there before the file, and that an
/// earlier statement of the file gave another name.
pub(super) fn names_lost(undo: &[Sql], before: &Catalog, world: &Catalog) -> bool {
    let named = |name: &str| undo.iter().any(|sql| mentions(sql.as_str(), name));
    before.tables.values().filter(|table| named(table.name.name.as_str())).any(|table| {
        world.find(&table.name).is_none_or(|now| {
            let gone = |name: &Ident| now.columns.iter().all(|column| column.name != *name);
            table.columns.iter().any(|one| gone(&one.name) && named(one.name.as_str()))
        })
    })
}
