//! DROP TYPE behind a change of type in the same file: the column that is kept for a restore is
//! of that type until purge. Its name is free from contract on, because a new type takes it.

use super::{Aspect, Parts, Scene};
use crate::change::{Effect, ObjectKind, Plain};
use crate::plan::{Action, Phase, RetireType, Target};
use crate::planner::intent::Words;
use crate::sql::TableName;

/// The steps; `None` where no column that is kept is of the type.
pub(super) fn decompose(scene: &Scene<'_>, plain: &Plain) -> Option<Parts> {
    let [object] = plain.objects.as_slice() else { return None };
    let drops = Words::of(&plain.sql).hold(&Words::of("drop"));
    if plain.effect != Effect::Removes || object.kind != ObjectKind::Type || !drops {
        return None;
    }
    let name = Words::name(&[&object.name.name]);
    scene.retyped.values().find(|one| Words::of(&one.was).hold(&name))?;
    let known = scene.catalog.objects.iter().find(|one| {
        matches!(one.kind.as_str(), "type" | "domain")
            && one.name.name == object.name.name
            && (object.name.schema.is_none() || one.name.schema == object.name.schema)
    })?;
    let one = RetireType {
        name: TableName { schema: known.name.schema.clone(), name: known.name.name.clone() },
        hidden: scene.working(&format!("type {} that goes", known.name)),
        cascade: plain.cascade,
    };
    let mut parts = Parts::default();
    parts.reshapes.push((Aspect::Whole, name.clone()));
    parts.late.push((Phase::Contract, name));
    parts.settled = Some(Phase::Contract);
    parts.targets.push(Target::named(&object.name));
    parts.step(Phase::Contract, Action::RetireType(one.clone()));
    parts.step(Phase::Purge, Action::DropType(one));
    Some(parts)
}
