//! ATTACH PARTITION. The server reads every row of the table under its strongest lock, and of
//! the default partition too, unless a valid check says where they belong: such checks are
//! added unvalidated, validated beside readers and writers, and dropped with the attachment.

use super::{Parts, Scene};
use crate::catalog::Table;
use crate::change::{Attach, Plain};
use crate::plan::{Action, AttachPartition, Carried, Phase, VerifyRule};
use crate::planner::intent::Words;
use crate::sql::{Ident, Sql};

/// The steps; `None` where the server has nothing to read, or nothing spares it that.
pub(super) fn decompose(scene: &Scene<'_>, plain: &Plain, attach: &Attach) -> Option<Parts> {
    let table = scene.catalog.find(plain.on.as_ref()?)?;
    let part = scene.catalog.find(&attach.part)?;
    let (key, within) = (table.part_key.as_ref()?, attach.within.as_ref()?);
    let tests: Vec<_> = within.iter().map(|test| format!("{key} {test}")).collect();
    let here = tests.join(" AND ");
    let rest = table.part_default.as_ref().and_then(|name| scene.catalog.find(name));
    let wanted = std::iter::once((part, here.clone()))
        .chain(rest.map(|one| (one, format!("NOT ({here})"))))
        .filter(|(one, _)| !one.is_empty() && !one.vague);
    let mut parts = Parts { minds_rows: true, ..Parts::default() };
    let mut checks = Vec::new();
    for (one, condition) in wanted {
        checks.push((one.name.clone(), check(scene, one, &condition, &mut parts)));
    }
    if checks.is_empty() {
        return None;
    }
    parts.reshapes.push((super::Aspect::Whole, Words::name(&[&part.name.name])));
    parts.step(
        Phase::Expand,
        Action::AttachPartition(AttachPartition {
            table: table.name.clone(),
            part: part.name.clone(),
            statement: Sql::new(plain.sql.as_str()),
            checks,
        }),
    );
    Some(parts)
}

/// Adds and validates the check of one table; its name.
fn check(scene: &Scene<'_>, table: &Table, condition: &str, parts: &mut Parts) -> Ident {
    let name = scene.working(&format!("bounds of {}", table.name));
    let one = Carried {
        table: table.name.clone(),
        name: name.clone(),
        definition: format!("CHECK ({condition})"),
        renamed: Vec::new(),
        pointed: Vec::new(),
        references: Vec::new(),
        at_once: false,
    };
    let rule = VerifyRule::Holds(Sql::new(condition));
    parts.premise("the bounds of the partition", &table.name, rule);
    parts.step(Phase::Expand, Action::AttachConstraint(one.clone()));
    parts.step(Phase::Expand, Action::ValidateConstraint(one));
    name
}
