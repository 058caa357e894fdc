//! CREATE INDEX, beside writers where the server can. An index on a column that this file
//! fills is built once it is filled: an indexed column costs every update of the fill.

use super::verbatim::statement;
use super::{Aspect, Parts, Scene};
use crate::catalog::{Table, TableKind};
use crate::change::NewIndex;
use crate::plan::{Action, IndexBuild, JoinIndexes, Phase, Verbatim, Verify, VerifyRule};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::planner::premise::computed;
use crate::sql::{ColumnRef, Ident, Sql, TableName};

pub(super) fn decompose(scene: &Scene<'_>, index: &NewIndex) -> Result<Parts, PlanError> {
    let table = scene.table(&index.table)?;
    let mut parts = Parts::default();
    let Some(name) = &index.name else {
        return Err(scene.refused(
            format!(
                "this index on `{}` has no name, by which an interrupted build could be found",
                table.name
            ),
            "give it a name",
        ));
    };
    let full = TableName { schema: table.name.schema.clone(), name: name.clone() };
    if let Some((_, there)) = scene.catalog.index(&full)
        && index.if_not_exists
    {
        if there.valid {
            return Ok(parts);
        }
        return Err(scene.refused(
            format!("index `{name}` is there and is invalid: IF NOT EXISTS would leave it so"),
            "drop it first with DROP INDEX CONCURRENTLY",
        ));
    }
    parts.made.push(Words::name(&[name]));
    parts.reshapes.push((Aspect::Whole, Words::name(&[name])));
    let mut fills = false;
    for column in index.keys.iter().chain(&index.mentions) {
        if let Some(known) = scene.catalog.column(table, column) {
            let column = ColumnRef::new(&table.name, &known.name);
            fills |= scene.filled.contains(&column);
            if !parts.touches.contains(&column) {
                parts.touches.push(column);
            }
        }
    }
    let mut phase = if fills { Phase::Backfill } else { Phase::Expand };
    if index.unique {
        phase = Phase::Backfill;
        forbids_duplicates(&mut parts, table, index, name);
    }
    if let Some(held) = &index.computes {
        // What an index calls is immutable, so the server sees to it that it only computes.
        computed(scene, &mut parts, table, name.as_str(), held);
    }
    if !scene.can.online_index {
        parts.hazard(
            "index-blocks-writes",
            format!("writers of the database wait while `{name}` is built"),
            "run it at a quiet hour if that is long",
        );
    }
    if phase != Phase::Expand {
        comes_late(&mut parts, table, index, name, phase);
    }
    if table.kind == TableKind::Partitioned {
        joined(scene, table, index)?;
        over_partitions(scene, &mut parts, (table, index, name), phase);
        return Ok(parts);
    }
    let online = scene.can.online_index && !index.concurrently;
    parts.step(
        phase,
        Action::BuildIndex(IndexBuild {
            table: table.name.clone(),
            name: name.clone(),
            definition: Sql::new(index.definition.as_str()),
            insert_at: online.then_some(index.insert_at),
            renamed: Vec::new(),
            unique: index.unique,
            online: true,
            on_part: false,
            second: index.unique && scene.knew_key(&table.name, &index.keys),
        }),
    );
    Ok(parts)
}

/// Refuses what the server would refuse once all of the parts are built.
fn joined(scene: &Scene<'_>, table: &Table, index: &NewIndex) -> Result<(), PlanError> {
    let parted = !table.partitions.is_empty() && !index.only;
    if parted && index.concurrently {
        return Err(scene.refused(
            format!(
                "`{}` is partitioned, and the server builds no index over partitions CONCURRENTLY",
                table.name
            ),
            "leave CONCURRENTLY out: it is built on each partition beside writers, and then joined",
        ));
    }
    if parted && index.unique { spread(scene, table, &index.keys) } else { Ok(()) }
}

/// Refuses a key over partitions that lacks the column by which rows are spread over them.
pub(super) fn spread(scene: &Scene<'_>, table: &Table, keys: &[Ident]) -> Result<(), PlanError> {
    let key = |column: &&crate::catalog::Column| {
        table.part_key.as_ref().is_some_and(|key| key.trim_matches('"') == column.name.as_str())
    };
    match table.columns.iter().find(key) {
        Some(column) if !keys.contains(&column.name) => Err(scene.refused(
            format!(
                "a unique index on `{}` must have `{}` in its key, by which the rows are spread \
                 over partitions",
                table.name, column.name
            ),
            "add the column to the index, or make the index on each partition alone",
        )),
        _ => Ok(()),
    }
}

/// The partitions that hold rows, if an index can be built on each beforehand: none has one that
/// the server might take for a part by itself.
pub(super) fn leaves<'a>(
    scene: &'a Scene<'_>,
    table: &Table,
    alike: impl Fn(&crate::catalog::Index) -> bool,
) -> Option<Vec<&'a Table>> {
    let known = table.partitions.iter().filter_map(|name| scene.catalog.find(name));
    let found: Vec<_> = known.filter(|one| one.kind != TableKind::Partitioned).collect();
    let plain = |leaf: &&Table| {
        leaf.kind == TableKind::Partition && !leaf.vague && !leaf.indexes.iter().any(&alike)
    };
    let able = scene.can.online_index && !found.is_empty() && found.iter().all(plain);
    able.then_some(found)
}

/// The server builds an index over partitions under a lock that stops all writers. Built on
/// each of them before, it only has to be put together.
fn over_partitions(
    scene: &Scene<'_>,
    parts: &mut Parts,
    (table, index, name): (&Table, &NewIndex, &Ident),
    phase: Phase,
) {
    // One that the server may take for a part by itself.
    let tail = |text: &str| -> String {
        let keys = text.find('(').map_or("", |at| &text[at..]);
        let keys = keys.chars().filter(|c| !c.is_whitespace() && !"\"()".contains(*c));
        keys.collect::<String>().to_lowercase()
    };
    let alike = |one: &crate::catalog::Index| {
        if index.keys.is_empty() {
            one.keys.is_empty() && tail(&one.definition) == tail(&index.definition)
        } else {
            one.keys == index.keys
        }
    };
    // A part's own table has another name.
    let dotted = index
        .definition
        .to_lowercase()
        .contains(&format!("{}.", table.name.name.as_str().to_lowercase()));
    let leaves = leaves(scene, table, alike).filter(|_| !index.only && !dotted);
    let Some(leaves) = leaves else {
        let one =
            Verbatim { sql: vec![Sql::new(index.definition.as_str())], ..statement(scene, false) };
        parts.step(phase, Action::Verbatim(one));
        if !index.only {
            parts.held(table, "reads all rows");
        }
        return;
    };
    let mut built = Vec::new();
    for leaf in leaves {
        let working = scene.working(&format!("{name} of {}", leaf.name));
        parts.step(
            phase,
            Action::BuildIndex(IndexBuild {
                table: leaf.name.clone(),
                name: working.clone(),
                definition: Sql::new(index.definition.as_str()),
                insert_at: None,
                renamed: Vec::new(),
                unique: index.unique,
                online: true,
                on_part: true,
                second: false,
            }),
        );
        built.push((leaf.name.clone(), working));
    }
    parts.step(
        phase,
        Action::JoinIndexes(JoinIndexes {
            table: table.name.clone(),
            name: name.clone(),
            definition: Sql::new(index.definition.as_str()),
            shown: index.shown.clone(),
            key: None,
            parts: built,
        }),
    );
}

/// What a unique index asks of the rows, and of code that writes them.
fn forbids_duplicates(parts: &mut Parts, table: &Table, index: &NewIndex, name: &Ident) {
    parts.hazard(
        "unique-tightens",
        format!("code that writes duplicates into `{}` fails once `{name}` is built", table.name),
        "deploy code that writes no duplicates before the backfill phase runs",
    );
    if !index.keys.is_empty() && !index.partial {
        let rule = VerifyRule::Distinct(index.keys.clone());
        parts.premise(name.as_str(), &table.name, rule);
        parts.step(
            Phase::Backfill,
            Action::Verify(Verify {
                table: table.name.clone(),
                rule: VerifyRule::Distinct(index.keys.clone()),
                repair: None,
            }),
        );
    }
}

/// What must not overtake an index that is built later.
fn comes_late(parts: &mut Parts, table: &Table, index: &NewIndex, name: &Ident, phase: Phase) {
    parts.late.push((phase, Words::name(&[name])));
    if index.unique && !index.partial && !index.keys.is_empty() {
        // A foreign key can point to these columns only from then on.
        let mut key = vec![&table.name.name];
        key.extend(&index.keys);
        parts.late.push((phase, Words::name(&key)));
    }
}
