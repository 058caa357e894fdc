//! ADD CONSTRAINT: added without a look at the rows that exist, which are checked later
//! beside everybody; a unique one and a primary key by way of an index built beside writers.

use super::create_index::{leaves, spread};
use super::set_not_null::by_check;
use super::{Aspect, Parts, Scene};
use crate::catalog::{ConstraintKind, Table, TableKind};
use crate::change::NewConstraint;
use crate::plan::{
    Action, AttachIndex, Carried, IndexBuild, JoinIndexes, KeyKind, Phase, Target, Use, Verify,
    VerifyRule,
};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, Sql};

pub(super) fn decompose(scene: &Scene<'_>, new: &NewConstraint) -> Result<Parts, PlanError> {
    let table = scene.table(&new.table)?;
    if !scene.can.add_constraint {
        return Err(scene.refused(
            format!("this database cannot add a constraint to `{}`, which exists", table.name),
            "rebuild the table in a maintenance window",
        ));
    }
    let name = scene.catalog.constraint_name(new, table);
    let mut parts = Parts { minds_rows: true, ..Parts::default() };
    parts.made.push(Words::name(&[&name]));
    parts.reshapes.push((Aspect::Whole, Words::name(&[&name])));
    let known = |name: &&Ident| scene.catalog.column(table, name).is_some();
    let columns: Vec<Ident> = new.columns.iter().filter(known).cloned().collect();
    parts.touches = columns.iter().map(|column| ColumnRef::new(&table.name, column)).collect();
    match new.kind {
        ConstraintKind::Exclusion => Ok(whole(scene, new, &name, &columns, parts)),
        // A check goes down to partitions, unvalidated first like any other.
        ConstraintKind::Check if !table.partitions.is_empty() => {
            checked(scene, new, &name, &columns, &mut parts);
            Ok(parts)
        }
        ConstraintKind::Primary | ConstraintKind::Unique if !table.partitions.is_empty() => {
            over_partitions(scene, new, &name, &columns, parts)
        }
        _ if !matches!(table.kind, TableKind::Ordinary | TableKind::Partition) => {
            Ok(whole(scene, new, &name, &columns, parts))
        }
        ConstraintKind::Primary | ConstraintKind::Unique => {
            keyed(scene, new, &name, &columns, parts)
        }
        _ => {
            checked(scene, new, &name, &columns, &mut parts);
            Ok(parts)
        }
    }
}

/// One that the server can only add as a whole, rows that exist and all.
fn whole(
    scene: &Scene<'_>,
    new: &NewConstraint,
    name: &Ident,
    columns: &[Ident],
    mut parts: Parts,
) -> Parts {
    let carried = Carried { at_once: !new.not_valid, ..carried(new, name) };
    let unknown_to_code = unknown_to_code(scene, new, columns);
    let allowed = scene.migration.allows("tightens").is_some();
    let phase = if unknown_to_code || allowed { Phase::Expand } else { Phase::Contract };
    if phase == Phase::Contract {
        behind_gate(new, name, columns, &mut parts);
    }
    parts.step(phase, Action::AttachConstraint(carried));
    if let Some(table) = scene.catalog.find(&new.table) {
        parts.held(table, "reads all rows");
    }
    parts
}

fn carried(new: &NewConstraint, name: &Ident) -> Carried {
    Carried {
        table: new.table.clone(),
        name: name.clone(),
        definition: new.definition.clone(),
        renamed: Vec::new(),
        pointed: Vec::new(),
        references: new.references.iter().cloned().collect(),
        at_once: false,
    }
}

/// A check or a foreign key.
fn checked(
    scene: &Scene<'_>,
    new: &NewConstraint,
    name: &Ident,
    columns: &[Ident],
    parts: &mut Parts,
) {
    let unknown_to_code = unknown_to_code(scene, new, columns);
    let allowed = scene.migration.allows("tightens").is_some();
    let (attach, validate) = match () {
        () if unknown_to_code || allowed => (Phase::Expand, Phase::Backfill),
        () => (Phase::Contract, Phase::Contract),
    };
    if attach == Phase::Contract {
        behind_gate(new, name, columns, parts);
    }
    if !new.not_valid {
        promised(scene, new, name, columns, parts);
    }
    let target = new.references.as_ref().filter(|_| new.keys.is_empty());
    if let Some(target) = target.and_then(|target| scene.catalog.find(target)) {
        let meant = target.key.iter().map(|key| Words::name(&[&target.name.name, key]));
        parts.meant.extend(meant);
    }
    let carried = carried(new, name);
    parts.step(attach, Action::AttachConstraint(carried.clone()));
    if !new.not_valid {
        parts.step(validate, Action::ValidateConstraint(carried));
    }
}

/// Code that runs does not write a column that it does not know.
fn unknown_to_code(scene: &Scene<'_>, new: &NewConstraint, columns: &[Ident]) -> bool {
    // What a trigger computes from the values of old code, old code writes.
    let added = |column: &Ident| {
        let column = ColumnRef::new(&new.table, column);
        scene.added.contains(&column) && !scene.filled.contains(&column)
    };
    !columns.is_empty() && columns.iter().all(added)
}

/// It waits for the gate, which asks for code that would break it.
fn behind_gate(new: &NewConstraint, name: &Ident, columns: &[Ident], parts: &mut Parts) {
    for column in columns {
        parts.targets.push(Target {
            column: ColumnRef::new(&new.table, column),
            ends: Use::Breaks(name.clone()),
            replaced_by: None,
        });
    }
    parts.late.push((Phase::Contract, Words::name(&[name])));
    parts.hazard(
        "tightens",
        format!("`{name}` waits for the gate: code that breaks it would get errors"),
        "list it under `obeys` in the manifests of the versions that obey it, or allow it, which \
         adds it in expand",
    );
}

/// What the rows that are there must obey.
fn promised(
    scene: &Scene<'_>,
    new: &NewConstraint,
    name: &Ident,
    columns: &[Ident],
    parts: &mut Parts,
) {
    if let Some(condition) = &new.condition {
        let rule = VerifyRule::Holds(Sql::new(condition.as_str()));
        parts.premise(name.as_str(), &new.table, rule);
    }
    let Some(target) = new.references.as_ref().and_then(|table| scene.catalog.find(table)) else {
        return;
    };
    let keys = if new.keys.is_empty() { &target.key } else { &new.keys };
    if keys.len() == columns.len() && !columns.is_empty() {
        let rule = VerifyRule::Refers {
            columns: columns.to_vec(),
            table: target.name.clone(),
            keys: keys.clone(),
        };
        parts.premise(name.as_str(), &new.table, rule);
    }
}

/// A unique constraint or a primary key.
fn keyed(
    scene: &Scene<'_>,
    new: &NewConstraint,
    name: &Ident,
    columns: &[Ident],
    mut parts: Parts,
) -> Result<Parts, PlanError> {
    let table = scene.table(&new.table)?;
    let primary = new.kind == ConstraintKind::Primary;
    let phase = Phase::Backfill;
    let index = match &new.using_index {
        Some(index) => index.clone(),
        None => {
            asks_for_distinct(&mut parts, table, name, columns);
            parts.step(
                phase,
                Action::BuildIndex(IndexBuild {
                    table: table.name.clone(),
                    name: name.clone(),
                    definition: Sql::new(new.definition.as_str()),
                    insert_at: None,
                    renamed: Vec::new(),
                    unique: true,
                    online: true,
                    on_part: false,
                    second: false,
                }),
            );
            name.clone()
        }
    };
    if primary {
        not_null(scene, &mut parts, table, name, columns);
    }
    parts.step(
        phase,
        Action::AttachIndex(AttachIndex {
            table: table.name.clone(),
            name: name.clone(),
            index,
            primary,
            attributes: attributes(&new.definition),
            second: scene.knew_key(&table.name, columns),
        }),
    );
    settled(&mut parts, table, name, columns);
    Ok(parts)
}

/// A key over partitions: one on each of them, built beside writers, then joined in an instant.
fn over_partitions(
    scene: &Scene<'_>,
    new: &NewConstraint,
    name: &Ident,
    columns: &[Ident],
    mut parts: Parts,
) -> Result<Parts, PlanError> {
    let table = scene.table(&new.table)?;
    spread(scene, table, columns)?;
    let leaves = leaves(scene, table, |index| index.keys == columns);
    let Some(leaves) = leaves.filter(|_| new.using_index.is_none()) else {
        return Ok(whole(scene, new, name, columns, parts));
    };
    let phase = Phase::Backfill;
    let primary = new.kind == ConstraintKind::Primary;
    asks_for_distinct(&mut parts, table, name, columns);
    let mut built = Vec::new();
    for leaf in leaves {
        let working = scene.working(&format!("{name} of {}", leaf.name));
        parts.step(
            phase,
            Action::BuildIndex(IndexBuild {
                table: leaf.name.clone(),
                name: working.clone(),
                definition: Sql::new(new.definition.as_str()),
                insert_at: None,
                renamed: Vec::new(),
                unique: true,
                online: true,
                on_part: false,
                second: false,
            }),
        );
        built.push((leaf.name.clone(), working));
    }
    if primary {
        not_null(scene, &mut parts, table, name, columns);
    }
    for (leaf, working) in &built {
        parts.step(
            phase,
            Action::AttachIndex(AttachIndex {
                table: leaf.clone(),
                name: working.clone(),
                index: working.clone(),
                primary,
                attributes: attributes(&new.definition),
                second: false,
            }),
        );
    }
    let shown: Vec<_> = columns.iter().map(Ident::as_str).collect();
    parts.step(
        phase,
        Action::JoinIndexes(JoinIndexes {
            table: table.name.clone(),
            name: name.clone(),
            definition: Sql::new(new.definition.as_str()),
            shown: if primary { String::new() } else { shown.join("_") },
            key: Some(if primary { KeyKind::Primary } else { KeyKind::Unique }),
            parts: built,
        }),
    );
    settled(&mut parts, table, name, columns);
    Ok(parts)
}

/// What a key asks of the rows, and of code that writes them.
fn asks_for_distinct(parts: &mut Parts, table: &Table, name: &Ident, columns: &[Ident]) {
    parts.hazard(
        "unique-tightens",
        format!("code that writes duplicates into `{}` fails once `{name}` is built", table.name),
        "deploy code that writes no duplicates before the backfill phase runs",
    );
    let rule = VerifyRule::Distinct(columns.to_vec());
    parts.premise(name.as_str(), &table.name, rule.clone());
    let verify = Verify { table: table.name.clone(), rule, repair: None };
    parts.step(Phase::Backfill, Action::Verify(verify));
}

/// The columns of a primary key are NOT NULL by a checked constraint first.
fn not_null(scene: &Scene<'_>, parts: &mut Parts, table: &Table, name: &Ident, columns: &[Ident]) {
    for column in columns {
        if scene.catalog.column(table, column).is_some_and(|one| one.nullable) {
            let rule = VerifyRule::NotNull(column.clone());
            parts.premise(name.as_str(), &table.name, rule);
            let column = ColumnRef::new(&table.name, column);
            by_check(scene, parts, &column, None, Phase::Backfill, None);
        }
    }
}

/// What must wait until a key is there.
fn settled(parts: &mut Parts, table: &Table, name: &Ident, columns: &[Ident]) {
    parts.late.push((Phase::Backfill, Words::name(&[name])));
    let mut key = vec![&table.name.name];
    key.extend(columns);
    // A foreign key can point to these columns only from then on.
    parts.late.push((Phase::Backfill, Words::name(&key)));
}

/// DEFERRABLE and what follows it.
fn attributes(definition: &str) -> String {
    let upper = definition.to_uppercase();
    let at = ["NOT DEFERRABLE", "DEFERRABLE", "INITIALLY"]
        .iter()
        .filter_map(|word| upper.find(word))
        .min();
    at.map(|at| definition[at..].trim().to_owned()).unwrap_or_default()
}
