//! CREATE TABLE: nobody uses it yet, so it is run as written, in expand.

use super::{Parts, Scene, verbatim};
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
    // Two plans that make the same table must not both be in flight.
    parts.touches.push(ColumnRef::new(table, &Ident::new("*")));
    parts.made.push(Words::name(&[&table.name]));
    parts
}
