//! CREATE TABLE: nobody uses it yet, so it is run as written, in expand.

use super::{Parts, Scene, verbatim};
use crate::change::ChangeKind;
use crate::plan::{Action, Phase, Verbatim};
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, TableName};

pub(super) fn decompose(scene: &Scene<'_>, table: &TableName) -> Parts {
    let mut parts = Parts::default();
    parts.step(
        Phase::Expand,
        Action::Verbatim(Verbatim {
            label: table.to_string(),
            creates: Some(table.clone()),
            ..verbatim::statement(scene, false)
        }),
    );
    taken_from_default(scene, &mut parts);
    // Two plans that make the same table must not both be in flight.
    parts.touches.push(ColumnRef::new(table, &Ident::new("*")));
    parts.made.push(Words::name(&[&table.name]));
    parts
}

/// A new partition takes its rows from the default one, which the server reads for them.
fn taken_from_default(scene: &Scene<'_>, parts: &mut Parts) {
    let parents = scene.intent.changes.iter().filter_map(|change| match change {
        ChangeKind::CreateTable { parent, .. } => scene.catalog.find(parent.as_ref()?),
        _ => None,
    });
    let rests = parents.filter_map(|parent| scene.catalog.find(parent.part_default.as_ref()?));
    for rest in rests.filter(|one| !one.is_empty()) {
        parts.hazard(
            "long-lock",
            format!(
                "the server reads all rows of the default partition `{}` while nobody can read or \
                 write the table",
                rest.name
            ),
            "create it as a table of its own and ATTACH it: the default partition is then checked \
             beside its readers and writers",
        );
    }
}
