//! CREATE INDEX, beside writers where the server can. An index on a column that this file
//! fills is built once it is filled: an indexed column costs every update of the fill.

use super::verbatim::statement;
use super::{Aspect, Parts, Scene};
use crate::catalog::Table;
use crate::change::NewIndex;
use crate::plan::{Action, IndexBuild, Phase, Verbatim, Verify, VerifyRule};
use crate::planner::PlanError;
use crate::planner::intent::Words;
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
    if table.kind == crate::catalog::TableKind::Partitioned {
        let one =
            Verbatim { sql: vec![Sql::new(index.definition.as_str())], ..statement(scene, false) };
        parts.step(Phase::Expand, Action::Verbatim(one));
        parts.held(table, "reads all rows");
        return Ok(parts);
    }
    let mut phase = if fills { Phase::Backfill } else { Phase::Expand };
    if index.unique {
        phase = Phase::Backfill;
        forbids_duplicates(&mut parts, table, index, name);
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
        }),
    );
    Ok(parts)
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
