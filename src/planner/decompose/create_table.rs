//! CREATE TABLE: nobody uses it yet, so it is run as written, in expand.

use super::{Parts, Scene};
use crate::plan::{Action, Phase, Verbatim};
use crate::sql::{ColumnRef, Ident, TableName};

pub(super) fn decompose(scene: &Scene<'_>, table: &TableName, references: &[TableName]) -> Parts {
    let mut parts = Parts::default();
    parts.step(
        Phase::Expand,
        Action::Verbatim(Verbatim {
            span: scene.intent.span,
            sql: scene.statement(),
            label: table.to_string(),
            creates: Some(table.clone()),
            within_new: false,
            references: references.to_vec(),
        }),
    );
    // Two plans that make the same table must not both be in flight.
    parts.touches.push(ColumnRef::new(table, &Ident::new("*")));
    parts
}
