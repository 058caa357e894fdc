//! ADD COLUMN. Instant where the default is one value for all rows; otherwise the rows that
//! exist are filled behind, because the server would write the table anew under its
//! strongest lock.

use super::set_not_null::{behind_gate, by_check, fill_null};
use super::{Parts, Scene, add_counted, verbatim};
use crate::catalog::{Column, Default, Table, TableKind};
use crate::change::NewColumn;
use crate::plan::{
    Action, AddColumn, Assignment, Expr, FillRows, Pending, Phase, Target, Use, Verbatim, Verify,
    VerifyRule, Walk,
};
use crate::planner::PlanError;
use crate::planner::intent::{RowFill, Words};
use crate::planner::premise::computes;
use crate::sql::{ColumnRef, Ident, Sql, TableName};

pub(super) fn decompose(
    scene: &Scene<'_>,
    table: &TableName,
    column: &NewColumn,
    fill: Option<&RowFill>,
) -> Result<Parts, PlanError> {
    let table = scene.table(table)?;
    if table.kind == TableKind::Partition {
        scene.whole_table(table)?;
    }
    scene.nothing_retired(table)?;
    if let Some(parts) = add_counted::decompose(scene, table, column) {
        return Ok(parts);
    }
    let mut parts = Parts::default();
    parts.touches.push(ColumnRef::new(&table.name, &column.name));
    parts.made.push(Words::name(&[&table.name.name, &column.name]));
    star_readers(scene, &mut parts, table, column);
    if !column.others.is_empty() {
        return Ok(as_written(scene, parts, table, column));
    }
    match (fill, &column.default) {
        (Some(fill), _) => filled(scene, &mut parts, table, column, fill)?,
        (None, Some(_))
            if column.default_constant || scene.can.alter_column && column.default_stable =>
        {
            add(&mut parts, table, defined(column), true);
        }
        (None, Some(default)) => computed(scene, &mut parts, table, column, default)?,
        (None, None)
            if column.not_null
                && scene.can.alter_column
                && (table.is_empty() || scene.emptied.contains(&table.name)) =>
        {
            if !table.is_empty() {
                parts.hazard(
                    "readers-see-null",
                    format!(
                        "rows that running code inserts before contract hold no `{}.{}`, and \
                         contract does not go on while there are any",
                        table.name, column.name
                    ),
                    "give it a DEFAULT where running code goes on to insert rows",
                );
            }
            required(scene, &mut parts, table, column);
        }
        (None, None) if column.not_null => {
            return Err(scene.refused(
                format!(
                    "`{}.{}` is NOT NULL and has no default: rows that exist have no value for \
                     it, and running code inserts rows without it",
                    table.name, column.name
                ),
                format!(
                    "add DEFAULT, or write `UPDATE {} SET {} = …` in the same file to say what \
                     such rows get",
                    table.name, column.name
                ),
            ));
        }
        (None, None) => add(&mut parts, table, defined(column), true),
    }
    Ok(parts)
}

/// One that the server alone can compute, row by row as it writes the table anew.
fn as_written(scene: &Scene<'_>, mut parts: Parts, table: &Table, column: &NewColumn) -> Parts {
    if column.statement.is_empty() {
        let clauses = column.others.join("`, `");
        return verbatim::opaque(scene, &format!("`{clauses}` in a new column is not taken apart"));
    }
    let sql = vec![Sql::new(column.statement.as_str())];
    let one = Verbatim { sql, ..verbatim::statement(scene, false) };
    parts.step(Phase::Expand, Action::Verbatim(one));
    if table.is_empty() {
        return parts;
    }
    let clause = column.others.iter().find_map(|clause| {
        let (_, rest) = clause.split_once('(')?;
        let (expression, _) = rest.rsplit_once(')')?;
        let upper = clause.to_uppercase();
        (upper.starts_with("GENERATED") && !upper.contains("IDENTITY")).then_some(expression)
    });
    if let Some(expression) = clause {
        // What it calls is immutable, so the server sees to it that it only computes.
        let about = format!("{}.{}", table.name, column.name);
        let converts = Assignment::to(&defined(column), Expr::Verbatim(Sql::new(expression)));
        parts.premise(&about, &table.name, VerifyRule::Converts(converts, None));
    }
    parts.hazard(
        "table-rewrite",
        format!(
            "`{}.{}` is computed for every row: the table is written anew, and nobody reads or \
             writes it meanwhile",
            table.name, column.name
        ),
        if column.counter.is_some() {
            "give the table a primary key in a migration before this one, along which its rows can \
             be counted in chunks; or allow it for a maintenance window"
        } else {
            "add a plain column and fill it with UPDATE in the same file, which keeps it filled \
             until purge, and let the application or a trigger of yours, under `-- zdmig:expand`, \
             go on with it"
        },
    );
    parts
}

/// The hazard that any new column is.
pub(super) fn star_readers(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    column: &NewColumn,
) {
    written_anew(scene, parts, table, column);
    if scene.can.cached_plans {
        parts.hazard(
            "star-readers",
            format!(
                "a prepared `SELECT *` from `{}` fails once when `{}` appears",
                table.name, column.name
            ),
            "name the columns in queries, or use a driver that prepares again",
        );
    }
}

/// A column whose type alone makes the server write the table anew.
pub(super) fn written_anew(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    column: &NewColumn,
) {
    if !table.is_empty() && scene.dialect.new_column_rewrites(scene.catalog, &column.type_name) {
        parts.hazard(
            "table-rewrite",
            format!(
                "`{}` has rules of its own: with `{}.{}` the table is written anew, and nobody \
                 reads or writes it meanwhile",
                column.type_name, table.name, column.name
            ),
            "give the column the type that it rests on, and add the rule as a CHECK",
        );
    }
}

fn add(parts: &mut Parts, table: &Table, column: Column, default_for_existing: bool) {
    let table = table.name.clone();
    parts.step(Phase::Expand, Action::AddColumn(AddColumn { table, column, default_for_existing }));
}

/// The column as it is asked for.
pub(super) fn defined(column: &NewColumn) -> Column {
    Column {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        collation: column.collation.clone(),
        nullable: !column.not_null,
        default: column
            .default
            .clone()
            .map(|sql| Default { sql, constant: column.default_constant }),
        comment: None,
        grants: Vec::new(),
        peculiar: Vec::new(),
        settings: Vec::new(),
    }
}

/// NOT NULL without a default, on a table that has no rows or loses them all: code that runs leaves it out, so
/// that it is nullable until none does.
fn required(scene: &Scene<'_>, parts: &mut Parts, table: &Table, column: &NewColumn) {
    add(parts, table, Column { nullable: true, ..defined(column) }, true);
    let target = ColumnRef::new(&table.name, &column.name);
    parts.targets.push(Target { column: target.clone(), ends: Use::NullWrites, replaced_by: None });
    behind_gate(scene, parts, &target);
}

/// A default that each row computes for itself: new rows get it at once, old ones are
/// filled behind.
fn computed(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    column: &NewColumn,
    default: &str,
) -> Result<(), PlanError> {
    if !scene.can.alter_column {
        return Err(scene.refused(
            format!(
                "`{}.{}` has a default that is no literal, and this database cannot give a \
                 table that exists such a column",
                table.name, column.name
            ),
            "use a literal default, or add the column without one and let the application \
             set it",
        ));
    }
    if table.is_empty() {
        add(parts, table, defined(column), true);
        return Ok(());
    }
    scene.whole_table(table)?;
    add(parts, table, Column { nullable: true, ..defined(column) }, false);
    let value = Expr::Verbatim(Sql::new(default));
    let fill = FillRows {
        table: table.name.clone(),
        walk: Walk::Key,
        key: scene.key(table)?,
        set: vec![Assignment::to(&defined(column), value)],
        pending: Pending::Null(None),
        does_for: None,
        copy: None,
    };
    parts.step(Phase::Backfill, Action::Backfill(fill.clone()));
    if column.not_null {
        let column = ColumnRef::new(&table.name, &column.name);
        by_check(scene, parts, &column, Some(fill), Phase::Backfill, None);
    }
    Ok(())
}

/// Where a default cannot be set after the column is added, rows that exist hold it from the
/// start, and nothing tells them from rows that are filled.
pub(super) fn default_hides_rows(scene: &Scene<'_>, table: &Table, column: &Ident) -> PlanError {
    scene.refused(
        format!(
            "`{}.{column}` has a default, which rows that exist would hold as soon as it is added: \
             nothing would tell them from rows that are filled",
            table.name
        ),
        "add the column without a default, or only with one and no UPDATE",
    )
}

/// A value that the author's UPDATE computes: a trigger gives it to rows that running code
/// inserts, the fill to those that exist.
fn filled(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    column: &NewColumn,
    fill: &RowFill,
) -> Result<(), PlanError> {
    scene.whole_table(table)?;
    if column.not_null && !scene.can.alter_column {
        return Err(scene.refused(
            format!(
                "this database cannot make `{}.{}` NOT NULL once it is filled",
                table.name, column.name
            ),
            "give it a literal DEFAULT, with which it can be NOT NULL from the start",
        ));
    }
    if column.default.is_some() && !scene.can.alter_column {
        return Err(default_hides_rows(scene, table, &column.name));
    }
    let target = ColumnRef::new(&table.name, &column.name);
    add(parts, table, Column { nullable: true, ..defined(column) }, false);
    scene.computable(table, &fill.value)?;
    verbatim::unset(scene)?;
    parts.reads.extend(Scene::reads(table, &[&fill.value], &[&column.name]));
    let sync = fill_null(scene, parts, &target, fill);
    let (walk, key) = scene.walk(table, std::slice::from_ref(&column.name))?;
    let rows = FillRows {
        table: table.name.clone(),
        walk,
        key,
        set: vec![Assignment::to(&defined(column), fill.value.clone())],
        pending: Pending::Null(fill.condition.clone()),
        does_for: Some(sync.tag.clone()),
        copy: None,
    };
    computes(scene, parts, &rows);
    parts.step(Phase::Backfill, Action::Backfill(rows.clone()));
    parts.targets.push(Target { column: target.clone(), ends: Use::NullWrites, replaced_by: None });
    if column.not_null {
        by_check(scene, parts, &target, Some(rows), Phase::Contract, Some(sync));
        return Ok(());
    }
    let assignment = rows.set[0].clone();
    parts.step(
        Phase::Backfill,
        Action::Verify(Verify {
            table: table.name.clone(),
            rule: VerifyRule::Filled(assignment, fill.condition.clone()),
            repair: Some(rows),
        }),
    );
    // Until purge, so that old code can come back.
    parts.step(Phase::Purge, Action::RemoveSync(sync));
    Ok(())
}
