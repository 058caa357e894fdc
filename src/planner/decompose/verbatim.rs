//! What is run as written: the author's sections, statements about a table that the same
//! file makes, and what nobody understands.

use super::{Aspect, Parts, Scene};
use crate::catalog::Table;
use crate::change::{ChangeKind, Fill};
use crate::plan::{
    Action, Assignment, Expr, FillRows, Pending, Phase, Target, Use, Verbatim, Walk,
};
use crate::planner::PlanError;
use crate::planner::intent::Words;
use crate::planner::premise::computes;
use crate::sql::{ColumnRef, Ident, Sql, TableName};

/// The statement as it stands in the file.
pub(super) fn statement(scene: &Scene<'_>, within_new: bool) -> Verbatim {
    Verbatim {
        span: scene.intent.span,
        sql: vec![scene.statement()],
        settings: scene.intent.settings.clone(),
        label: format!("statement-{}", scene.intent.number),
        creates: None,
        within_new,
        seeds: None,
    }
}

/// A statement about a table that this file makes.
pub(super) fn within_new(scene: &Scene<'_>, table: &TableName) -> Parts {
    let mut parts = Parts { minds_rows: true, ..Parts::default() };
    parts.step(Phase::Expand, Action::Verbatim(statement(scene, true)));
    // What an earlier statement does with the table in a later phase comes first.
    parts.reshapes.push((Aspect::Whole, Words::name(&[&table.name])));
    parts
}

/// Statements that share a temporary table: one transaction, once the rows are there.
pub(super) fn together(scene: &Scene<'_>, statements: &[Sql]) -> Parts {
    let mut parts = Parts { minds_rows: true, ..Parts::default() };
    let one = Verbatim { sql: statements.to_vec(), ..statement(scene, false) };
    parts.step(Phase::Backfill, Action::Verbatim(one));
    parts.hazard(
        "whole-statement",
        "these statements share a temporary table, so they run in one transaction and hold every \
         lock until its end"
            .to_owned(),
        "use a table of its own in the place of the temporary one, or allow it where the tables \
         are small",
    );
    // What they write is not known one by one.
    let named = |table: &&Table| scene.intent.words.hold(&Words::name(&[&table.name.name]));
    for table in scene.catalog.tables.values().filter(named) {
        parts.rows.push((Phase::Backfill, table.name.clone()));
    }
    for change in &scene.intent.changes {
        if let ChangeKind::CreateTable { table, .. } = change {
            parts.late.push((Phase::Backfill, Words::name(&[&table.name])));
        }
    }
    parts
}

/// Under `-- zdmig:expand`.
pub(super) fn expand(scene: &Scene<'_>) -> Parts {
    let mut parts = Parts::default();
    parts.step(Phase::Expand, Action::Verbatim(statement(scene, false)));
    parts
}

/// Under `-- zdmig:contract`.
pub(super) fn contract(scene: &Scene<'_>, uses: &[ColumnRef]) -> Parts {
    let mut parts = Parts::default();
    parts.step(Phase::Contract, Action::Verbatim(statement(scene, false)));
    for column in uses {
        parts.targets.push(Target { column: column.clone(), ends: Use::Any, replaced_by: None });
        parts.touches.push(column.clone());
    }
    parts
}

/// Under `-- zdmig:backfill`.
pub(super) fn backfill(
    scene: &Scene<'_>,
    fill: &Fill,
    key: Option<&Ident>,
) -> Result<Parts, PlanError> {
    let table = scene.table(&fill.table)?;
    let unknown = |source| PlanError::Unknown { span: scene.intent.span, source };
    let key = match key {
        Some(name) => {
            let column = scene.catalog.require_column(table, name).map_err(unknown)?;
            // A walk along a key leaves out NULLs, and puts all rows of one value into one chunk.
            let alone = |index: &crate::catalog::Index| {
                index.unique && index.valid && index.keys == [column.name.clone()]
            };
            let primary = table.constraints.iter().any(|one| {
                one.kind == crate::catalog::ConstraintKind::Primary
                    && one.columns == [column.name.clone()]
            });
            let unique = primary || table.indexes.iter().any(alone);
            if column.nullable && !primary || !unique {
                return Err(scene.refused(
                    format!(
                        "`{}.{}` is not unique and NOT NULL, so a fill cannot walk along it",
                        table.name, column.name
                    ),
                    "name a column that is, or leave `key=` out: then it is the primary key",
                ));
            }
            vec![(column.name.clone(), column.type_name.clone())]
        }
        None => scene.key(table)?,
    };
    let source = &scene.migration.source;
    let mut set = Vec::new();
    let mut parts = Parts::default();
    for (name, value) in &fill.set {
        let column = scene.catalog.require_column(table, name).map_err(unknown)?;
        set.push(Assignment::to(column, Expr::Verbatim(Sql::new(value.of(source)))));
        parts.touches.push(ColumnRef::new(&table.name, &column.name));
    }
    let condition = fill.condition.map(|span| Sql::new(span.of(source)));
    let pending = Pending::Where(condition);
    let (walk, does_for) = (Walk::Key, None);
    let fill =
        FillRows { table: table.name.clone(), walk, key, set, pending, does_for, copy: None };
    unset(scene)?;
    computes(scene, &mut parts, &fill);
    parts.step(Phase::Backfill, Action::Backfill(fill));
    Ok(parts)
}

/// Refuses expressions that a SET of the file may give another meaning: chunks and triggers run in
/// transactions of their own, and in those of running code.
pub(super) fn unset(scene: &Scene<'_>) -> Result<(), PlanError> {
    const HARMLESS: [&str; 12] = [
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_timeout",
        "client_encoding",
        "client_min_messages",
        "standard_conforming_strings",
        "check_function_bodies",
        "xmloption",
        "row_security",
        "default_tablespace",
        "default_table_access_method",
    ];
    let meant = |sql: &&Sql| {
        let words = Words::of(sql.as_str());
        !HARMLESS.iter().any(|name| words.hold(&Words::name(&[&Ident::new(*name)])))
            && !words.hold(&Words::name(&[&Ident::new("search_path")]))
    };
    match scene.intent.settings.iter().find(meant) {
        Some(sql) => Err(scene.refused(
            format!("`{sql}` may give the expressions another meaning, and a fill does not see it"),
            "say it in the expression, with `to_date`, `AT TIME ZONE` and the like",
        )),
        None => Ok(()),
    }
}

/// A statement that nobody understands: run as written in expand, if the author says so.
pub(super) fn opaque(scene: &Scene<'_>, why: &str) -> Parts {
    let mut parts = Parts { minds_rows: true, ..expand(scene) };
    parts.hazard(
        "opaque",
        format!("zdmig cannot tell what this does to running code: {why}"),
        "put it under `-- zdmig:expand`, `-- zdmig:backfill` or `-- zdmig:contract \
         uses=table.column`, or write `-- zdmig:allow opaque because \"…\"` to run it as it \
         stands in expand",
    );
    parts
}
