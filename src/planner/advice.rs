//! What is well today and dear to change later. `check` says it; a plan, which is about what
//! happens now, does not.

use crate::catalog::{Catalog, ConstraintKind, Table};
use crate::change::{ChangeKind, NewConstraint, NewIndex};
use crate::dialect::{Advice, Dialect};
use crate::migration::Migration;
use crate::plan::Hazard;
use crate::sql::Ident;

/// What a file makes that is dear to change later; `after` is the catalogue that it leaves.
pub fn advice(migration: &Migration, after: &Catalog, dialect: &dyn Dialect) -> Vec<Hazard> {
    let mut found = Vec::new();
    for statement in &migration.statements {
        let span = statement.span;
        let mut advice = dialect.advice(&migration.source, span);
        for change in dialect.interpret(&migration.source, span) {
            match &change {
                ChangeKind::CreateTable { constraints, .. } => {
                    advice.extend(constraints.iter().filter_map(|one| unindexed(one, after)));
                }
                ChangeKind::AddConstraint(constraint) => {
                    advice.extend(unindexed(constraint, after));
                }
                ChangeKind::CreateIndex(index) => advice.extend(wide(index)),
                _ => {}
            }
        }
        found.extend(advice.into_iter().map(|one| Hazard {
            code: one.code.to_owned(),
            span,
            message: one.message,
            remedy: one.remedy,
            allowed: migration.allows(one.code).map(ToOwned::to_owned),
        }));
    }
    found
}

/// A foreign key that no index helps with, when the file is done.
fn unindexed(key: &NewConstraint, after: &Catalog) -> Option<Advice> {
    let table = after.find(&key.table).filter(|table| !table.vague)?;
    let known = |name: &Ident| after.column(table, name).is_some();
    if key.kind != ConstraintKind::Foreign || !key.columns.iter().all(known) || helped(key, table) {
        return None;
    }
    let columns: Vec<_> = key.columns.iter().map(|one| format!("`{one}`")).collect();
    let columns = columns.join(", ");
    Some(Advice {
        code: "unindexed-foreign-key",
        message: format!(
            "no index of `{}` begins with {columns}, so whoever deletes from `{}` has it all read",
            table.name,
            key.references.as_ref().map(ToString::to_string).unwrap_or_default()
        ),
        remedy: format!("add `CREATE INDEX ON {} ({})`", key.table, columns.replace('`', "")),
    })
}

fn helped(key: &NewConstraint, table: &Table) -> bool {
    let leads = |keys: &[Ident]| {
        let head = keys.get(..key.columns.len());
        head.is_some_and(|head| head.iter().all(|one| key.columns.contains(one)))
    };
    leads(&table.key) || table.indexes.iter().any(|index| leads(&index.keys))
}

/// More columns than a search is narrowed by.
fn wide(index: &NewIndex) -> Option<Advice> {
    (!index.unique && index.keys.len() > 3).then(|| Advice {
        code: "wide-index",
        message: format!("an index over {} columns of `{}`", index.keys.len(), index.table),
        remedy: "begin with the columns that narrow most, and leave the others out".into(),
    })
}
