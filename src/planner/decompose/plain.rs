//! Statements that are run as written: what each does to running code says when.

use super::update::whole;
use super::{Aspect, Parts, Scene, attach_partition, copy_rows, drop_type, side_effects, verbatim};
use crate::catalog::{ConstraintKind, Dependent, Table, TableKind};
use crate::change::{Effect, Object, ObjectKind, Plain};
use crate::plan::{Action, Phase, Seeds, Target, Use, Verbatim};
use crate::planner::intent::Words;
use crate::planner::premise::answers;
use crate::sql::{ColumnRef, Ident, Sql};

pub(super) fn decompose(scene: &Scene<'_>, plain: &Plain) -> Parts {
    let attached = plain.attaches.as_ref();
    if let Some(parts) = attached.and_then(|one| attach_partition::decompose(scene, plain, one)) {
        return parts;
    }
    if let Some(mut parts) = drop_type::decompose(scene, plain) {
        moves(scene, plain, &mut parts);
        hazards(scene, plain, &mut parts);
        return parts;
    }
    let mut parts = Parts { minds_rows: true, ..Parts::default() };
    let phase = phase(plain);
    for object in &plain.objects {
        let name = Words::name(&object.words());
        match plain.effect {
            Effect::Adds | Effect::Replaces => parts.made.push(name),
            Effect::Seeds { .. } | Effect::Moves(_) | Effect::Checks | Effect::Nothing => {}
            _ => {
                parts.reshapes.push((Aspect::Whole, name.clone()));
                parts.late.push((phase, name));
            }
        }
    }
    if plain.effect == Effect::Removes {
        parts.frees.extend(freed(scene, plain).into_iter().map(|name| (phase, name)));
    }
    let one = Verbatim {
        sql: vec![Sql::new(plain.sql.as_str())],
        seeds: seeds(scene, plain),
        ..verbatim::statement(scene, false)
    };
    let copy = copy_rows::fill(scene, plain);
    let chunked = copy.is_some();
    parts.step(phase, copy.map_or(Action::Verbatim(one), Action::Backfill));
    if !chunked {
        moves(scene, plain, &mut parts);
    }
    hazards(scene, plain, &mut parts);
    let into = plain.on.as_ref().and_then(|table| scene.catalog.find(table));
    if let Some((table, rows)) = into.zip(plain.computes.as_ref()) {
        answers(scene, &mut parts, table, rows);
    }
    if plain.effect == Effect::Removes {
        parts.targets.extend(plain.objects.iter().take(names_before(plain)).filter_map(target));
        parts.targets.extend(gone_tables(scene, plain));
    }
    if matches!(plain.effect, Effect::Moves(_) | Effect::Seeds { .. } | Effect::Destroys) {
        let relations = plain.objects.iter().filter(|one| one.kind == ObjectKind::Relation);
        for table in relations.filter_map(|one| scene.catalog.find(&one.name)) {
            parts.rows.push((phase, table.name.clone()));
        }
    }
    if let Effect::Seeds { positional, .. } = plain.effect {
        parts.by_place = positional;
        written(scene, plain, positional, &mut parts);
    }
    parts
}

/// The columns that an INSERT writes: a plan that changes one must not be in flight beside it.
fn written(scene: &Scene<'_>, plain: &Plain, positional: bool, parts: &mut Parts) {
    let Some(table) = plain.on.as_ref().and_then(|table| scene.catalog.find(table)) else { return };
    if positional {
        parts.touches.push(ColumnRef::new(&table.name, &Ident::new("*")));
        return;
    }
    let named = |name: &&Ident| scene.intent.words.hold(&Words::name(&[name]));
    let columns = table.columns.iter().map(|column| &column.name).filter(named);
    parts.touches.extend(columns.map(|name| ColumnRef::new(&table.name, name)));
}

/// The rows of an INSERT, where all that it reports were not there before.
fn seeds(scene: &Scene<'_>, plain: &Plain) -> Option<Seeds> {
    let table = scene.catalog.find(plain.on.as_ref()?)?;
    let new = matches!(plain.effect, Effect::Seeds { merges: false, .. });
    let noted = new && scene.can.notes_rows;
    (noted && table.kind != TableKind::View && !table.vague).then(|| Seeds {
        tag: scene.tag(&format!("seeds of statement {}", scene.intent.number)),
        table: table.name.clone(),
        key: table.key.clone(),
    })
}

fn phase(plain: &Plain) -> Phase {
    match plain.effect {
        Effect::Moves(_) | Effect::Checks => Phase::Backfill,
        Effect::Tightens | Effect::Removes => Phase::Contract,
        Effect::Destroys => Phase::Purge,
        Effect::Adds
        | Effect::Replaces
        | Effect::Settles
        | Effect::Seeds { .. }
        | Effect::Rewrites
        | Effect::Setting
        | Effect::Boundary
        | Effect::Temporary
        | Effect::Calls
        | Effect::Nothing => Phase::Expand,
    }
}

/// The columns that a view or a trigger held on to: they can be changed once it is gone.
fn freed(scene: &Scene<'_>, plain: &Plain) -> Vec<Words> {
    let mut names = Vec::new();
    let gone = |dependent: &Dependent| {
        plain.objects.iter().any(|object| object.name.name == dependent.name)
    };
    for table in scene.catalog.tables.values() {
        for dependent in table.dependents.iter().filter(|one| gone(one)) {
            let columns = dependent.columns.iter();
            names.extend(columns.map(|column| Words::name(&[&table.name.name, column])));
            if dependent.columns.is_empty() {
                names.push(Words::name(&[&table.name.name]));
            }
        }
    }
    names
}

/// How many of the objects are there before: a rename lists the new name last.
fn names_before(plain: &Plain) -> usize {
    let renames = plain.sql.to_lowercase().contains("rename to");
    plain.objects.len() - usize::from(renames && plain.objects.len() > 1)
}

/// What the gate must ask about.
fn target(object: &Object) -> Option<Target> {
    match object.kind {
        ObjectKind::Relation => Some(Target::relation(&object.name)),
        ObjectKind::Routine | ObjectKind::Type | ObjectKind::Sequence => {
            Some(Target::named(&object.name))
        }
        ObjectKind::Silent | ObjectKind::Other => None,
    }
}

/// Tables that get another schema by it.
fn gone_tables(scene: &Scene<'_>, plain: &Plain) -> Vec<Target> {
    if !Words::of(&plain.sql).hold(&Words::of("alter schema rename")) {
        return Vec::new();
    }
    let schema = plain.objects.first().map(|object| &object.name.name);
    let inside = |table: &&crate::catalog::Table| table.name.schema.as_ref() == schema;
    let tables = scene.catalog.tables.values().filter(inside);
    tables.map(|table| Target::relation(&table.name)).collect()
}

/// What holds a strong lock while it looks at rows.
fn alter_table_hazards(scene: &Scene<'_>, plain: &Plain, parts: &mut Parts) {
    let words = Words::of(&plain.sql);
    let Some(table) = plain.on.as_ref().and_then(|table| scene.catalog.find(table)) else { return };
    if words.hold(&Words::of("attach partition")) {
        let named = |one: &&crate::catalog::Table| {
            one.name != table.name
                && !one.is_empty()
                && one.constraints.iter().all(|one| one.kind != ConstraintKind::Check)
                && words.hold(&Words::name(&[&one.name.name]))
        };
        for part in scene.catalog.tables.values().filter(named) {
            parts.held(part, "reads all rows");
        }
    }
}

/// A rule of a type is one of every column of it; rows that are there are read under a lock that
/// no writer gets past, unless they are left out.
fn domain_rules(scene: &Scene<'_>, plain: &Plain, parts: &mut Parts) {
    let tightens = plain.effect == Effect::Tightens;
    let proves = match plain.effect {
        Effect::Tightens => !Words::of(&plain.sql).hold(&Words::of("not valid")),
        Effect::Checks => true,
        _ => return,
    };
    for object in plain.objects.iter().filter(|one| one.kind == ObjectKind::Type) {
        let mut tables = std::collections::BTreeSet::new();
        for column in scene.dialect.of_type(scene.catalog, &object.name) {
            let known = scene.catalog.find(&column.table);
            if let Some(table) = known.filter(|table| proves && tables.insert(table.name.clone())) {
                parts.held(table, "reads all rows");
            }
            if tightens {
                let ends = Use::Breaks(object.name.name.clone());
                parts.targets.push(Target { column, ends, replaced_by: None });
            }
        }
    }
}

/// The hazard of rows that are written in one piece.
fn moves(scene: &Scene<'_>, plain: &Plain, parts: &mut Parts) {
    let Effect::Moves(why) = &plain.effect else { return };
    let known: Vec<_> =
        plain.objects.iter().filter_map(|one| scene.catalog.find(&one.name)).collect();
    // Of a view nothing is known.
    let empty = |table: &&Table| table.is_empty() && table.kind != TableKind::View;
    if known.is_empty() || !known.iter().all(empty) {
        whole(parts, &named(plain).replace('`', ""), why);
    }
}

fn named(plain: &Plain) -> String {
    let names: Vec<_> = plain.objects.iter().map(|one| format!("`{}`", one.name)).collect();
    if names.is_empty() { "this statement".to_owned() } else { names.join(", ") }
}

fn hazards(scene: &Scene<'_>, plain: &Plain, parts: &mut Parts) {
    let named = || named(plain);
    let table = plain.on.as_ref().and_then(|table| scene.catalog.find(table));
    match &plain.effect {
        Effect::Rewrites if !table.is_some_and(|table| table.is_empty()) => parts.hazard(
            "table-rewrite",
            "nobody reads or writes the table while the server works on it".to_owned(),
            "allow it for a maintenance window, or where the table is small",
        ),
        Effect::Destroys => parts.hazard(
            "destroys",
            format!("{} cannot be brought back", named()),
            "allow it once nobody needs what is lost",
        ),
        _ => {}
    }
    alter_table_hazards(scene, plain, parts);
    side_effects::warn(scene, plain, parts);
    domain_rules(scene, plain, parts);
    if plain.cascade {
        parts.hazard(
            "cascade",
            format!("CASCADE drops whatever rests on {}, named here or not", named()),
            "name everything that is to go, and leave CASCADE out",
        );
    }
}
