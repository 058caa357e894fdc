//! RENAME COLUMN, and ADD COLUMN + UPDATE + DROP COLUMN: a second column, kept in step by
//! triggers in both directions, until nobody uses the first.

use super::drop_column::{droppable, loosen, lost_indexes, take_away};
use super::set_not_null::by_check;
use super::{Parts, Scene, add_column, rename_column, verbatim};
use crate::catalog::{Column, Constraint, ConstraintKind, Index, Mark, Table};
use crate::migration::ColumnPath;
use crate::plan::{
    Action, AddColumn, Assignment, Carried, Expr, FillRows, IndexBuild, Pending, Phase, Sync,
    SyncKind, TakenOver, Target, Use, Verify, VerifyRule, Walk,
};
use crate::planner::PlanError;
use crate::planner::intent::{Replace, Words};
use crate::planner::premise::computes;
use crate::sql::{ColumnRef, Sql};

pub(super) fn decompose(scene: &Scene<'_>, replace: &Replace) -> Result<Parts, PlanError> {
    let table = scene.table(&replace.table)?;
    let unknown = |source| PlanError::Unknown { span: scene.intent.span, source };
    let old = scene.catalog.require_column(table, &replace.old).map_err(unknown)?;
    if let Some(definition) = &replace.definition
        && !definition.others.is_empty()
    {
        let clauses = definition.others.join("`, `");
        return Ok(verbatim::opaque(
            scene,
            &format!("`{clauses}` in a new column is not taken apart"),
        ));
    }
    if rename_column::needed(scene, table, old, replace) {
        return Ok(rename_column::decompose(scene, table, replace));
    }
    let mut parts = Parts::default();
    fits(scene, table, old, replace, &mut parts)?;
    let new = new_column(old, replace);
    let (from, to) =
        (ColumnRef::new(&table.name, &old.name), ColumnRef::new(&table.name, &new.name));
    names(&mut parts, table, old, &from, &to);
    hazards(scene, &mut parts, table, old, replace);
    if let Some(definition) = &replace.definition {
        add_column::written_anew(scene, &mut parts, table, definition);
    }

    // While both columns exist.
    let mut during = new.clone();
    if deferred_default(&new, replace).is_some() {
        during.default = None;
    }
    let left_out = replace.reverse.is_none() && old.default.is_none();
    if !old.nullable && (left_out || new.nullable && scene.can.alter_column) {
        // Nothing can give it a value in rows that new code inserts, or new code writes NULL.
        loosen(scene, &mut parts, &from);
    }
    let sync = Sync {
        table: table.name.clone(),
        tag: scene.sync_tag(&from.to_string()),
        kind: SyncKind::Replace {
            old: Box::new(old.clone()),
            new: Box::new(during.clone()),
            forward: replace.forward.clone(),
            reverse: replace.reverse.clone(),
        },
    };
    parts.step(
        Phase::Expand,
        Action::AddColumn(AddColumn {
            table: table.name.clone(),
            column: Column {
                nullable: new.nullable || added_nullable(scene, &new),
                ..during.clone()
            },
            default_for_existing: !scene.can.alter_column,
        }),
    );
    parts.step(Phase::Expand, Action::InstallSync(sync.clone()));
    let fill = fill(scene, table, &new, replace, &sync.tag)?;
    computes(scene, &mut parts, &fill);
    parts.step(Phase::Backfill, Action::Backfill(fill.clone()));
    prove(scene, &mut parts, replace, &fill);
    let mut renames = Vec::new();
    if replace.definition.is_some() {
        lost_indexes(table, &from, &mut parts);
    } else {
        carriable(scene, table, old, &mut parts)?;
        carry_indexes(scene, &mut parts, table, (old, &new), &mut renames);
        carry_constraints(scene, &mut parts, table, (old, &new), &mut renames);
        let renamed = vec![(old.name.clone(), new.name.clone())];
        let over = scene.statistics(table, std::slice::from_ref(&old.name));
        renames.extend(over.map(|object| TakenOver::Statistics {
            object: object.clone(),
            renamed: renamed.clone(),
        }));
    }
    if replace.not_null && added_nullable(scene, &new) {
        by_check(scene, &mut parts, &to, Some(fill), Phase::Backfill, None);
    }
    if let Some(default) = deferred_default(&new, replace) {
        let column = new.name.clone();
        renames.push(TakenOver::Default { column, default: default.clone() });
    }
    parts.targets.push(Target { column: from.clone(), ends: Use::Any, replaced_by: Some(to) });
    take_away(scene, table, &from, Some(sync), renames, &mut parts);
    Ok(parts)
}

/// Proves that every row has its value.
fn prove(scene: &Scene<'_>, parts: &mut Parts, replace: &Replace, fill: &FillRows) {
    let assignment = fill.set[0].clone();
    let rule = match &fill.pending {
        Pending::Differs => VerifyRule::Equal(assignment),
        Pending::Null(_) | Pending::Where(_) => {
            VerifyRule::Filled(assignment, replace.condition.clone())
        }
    };
    let table = fill.table.clone();
    let told = Verify { table: table.clone(), rule: rule.clone(), repair: None };
    let verify = Verify { table, rule, repair: Some(fill.clone()) };
    parts.step(Phase::Backfill, Action::Verify(verify));
    let forgiving = scene.can.row_rewriting_triggers;
    if forgiving && matches!(replace.forward, Expr::Verbatim(_)) {
        // What old code wrote since may be something that the expression fails for. It is told
        // and not filled: new code may have set it to NULL.
        parts.step(Phase::Contract, Action::Verify(told));
    }
}

/// What it touches, for the order and for other plans.
fn names(parts: &mut Parts, table: &Table, old: &Column, from: &ColumnRef, to: &ColumnRef) {
    parts.touches = vec![from.clone(), to.clone()];
    parts.reshapes_column(from, Phase::Purge);
    parts.shifts.push(table.name.clone());
    parts.holds_whole_row(table);
    parts.made.push(Words::name(&[&to.table.name, &to.column]));
    parts.uses.extend(Scene::held_by(old));
    let indexes = table.indexes.iter().filter(|one| one.columns.contains(&old.name));
    let names =
        indexes.map(|one| &one.name).chain(table.constraints_of(&old.name).map(|one| &one.name));
    parts.uses.extend(names.map(|name| Words::name(&[&table.name.name, name])));
    parts.uses.extend(Scene::statistics_named(table, &old.name));
}

/// Refuses what cannot be carried over, before anything is done.
fn fits(
    scene: &Scene<'_>,
    table: &Table,
    old: &Column,
    replace: &Replace,
    parts: &mut Parts,
) -> Result<(), PlanError> {
    scene.plain_table(table)?;
    droppable(scene, table, &old.name, parts)?;
    for value in std::iter::once(&replace.forward).chain(&replace.reverse) {
        scene.computable(table, value)?;
    }
    let named = format!("`{}.{}`", table.name, old.name);
    let primary = |one: &Constraint| one.kind == ConstraintKind::Primary;
    if replace.definition.is_none() && table.constraints_of(&old.name).any(primary) {
        return Err(scene.refused(
            format!("{named} is part of the primary key, which a copy cannot be"),
            "write the phases yourself under `-- zdmig:expand`, `-- zdmig:backfill` and \
             `-- zdmig:contract`",
        ));
    }
    if scene.catalog.column(table, &replace.new).is_some() {
        return Err(scene.refused(
            format!("table `{}` has a column `{}` already", table.name, replace.new),
            "choose another name",
        ));
    }
    if let Some(why) = old.peculiar.first() {
        return Err(scene.refused(
            format!("{named} cannot be replaced by a copy: {why}"),
            "write the phases yourself under `-- zdmig:expand`, `-- zdmig:backfill` and \
             `-- zdmig:contract`",
        ));
    }
    let elsewhere = |mark: &&Mark| {
        let touches = |one: &Index| one.name == *mark.name() && one.columns.contains(&old.name);
        matches!(mark, Mark::Elsewhere(_)) && table.indexes.iter().any(touches)
    };
    if let Some(mark) = table.marks.iter().find(elsewhere).filter(|_| replace.definition.is_none())
    {
        return Err(scene.refused(
            format!("`{}` lies in a tablespace of its own, and its copy would not", mark.name()),
            "write the phases yourself under `-- zdmig:expand`, `-- zdmig:backfill` and \
             `-- zdmig:contract`",
        ));
    }
    fits_product(scene, table, old, replace)
}

/// Refuses what this product cannot do in place.
fn fits_product(
    scene: &Scene<'_>,
    table: &Table,
    old: &Column,
    replace: &Replace,
) -> Result<(), PlanError> {
    let named = format!("`{}.{}`", table.name, old.name);
    let required = !old.nullable && old.default.is_none();
    if required && !scene.can.row_rewriting_triggers {
        return Err(scene.refused(
            format!(
                "{named} is NOT NULL without a default: new code leaves it out, and on this \
                 database no trigger can fill it before the row is checked"
            ),
            format!(
                "rebuild the table with a DEFAULT on `{}` (or without NOT NULL) in a \
                 maintenance window first, or keep both columns and let new code write both",
                old.name
            ),
        ));
    }
    if required && replace.reverse.is_none() && !scene.can.alter_column {
        return Err(scene.refused(
            format!("{named} is NOT NULL, and without a way back new code cannot leave it out"),
            format!(
                "write `-- zdmig:reverse {} = expression`",
                ColumnPath::of(&table.name.name, &old.name)
            ),
        ));
    }
    if !scene.can.alter_column {
        if replace.definition.as_ref().is_some_and(|one| one.default.is_some())
            && !is_identity(replace)
        {
            return Err(add_column::default_hides_rows(scene, table, &replace.new));
        }
        let default = new_column(old, replace).default;
        if default.is_some_and(|one| !one.constant) {
            return Err(scene.refused(
                format!(
                    "the default of {named} is no literal, and a new column cannot have it here"
                ),
                "rebuild the table in a maintenance window",
            ));
        }
        if replace.not_null && added_nullable(scene, &new_column(old, replace)) {
            return Err(scene.refused(
                format!("`{}` cannot become NOT NULL in place on this database", replace.new),
                "give it a literal DEFAULT, with which it can be NOT NULL from the start",
            ));
        }
    }
    Ok(())
}

fn new_column(old: &Column, replace: &Replace) -> Column {
    match &replace.definition {
        Some(definition) => {
            Column { nullable: !replace.not_null, ..add_column::defined(definition) }
        }
        None => Column { name: replace.new.clone(), nullable: !replace.not_null, ..old.clone() },
    }
}

/// Whether the column is NULL for rows that exist when it is added: where defaults can be
/// set in place it is, so that nobody reads a default that was never written.
fn added_nullable(scene: &Scene<'_>, new: &Column) -> bool {
    scene.can.alter_column || new.default.as_ref().is_none_or(|default| !default.constant)
}

/// The default that the new column gets only when the old one goes: one that is computed,
/// which the triggers stand in for, and any under a mapping with expressions, because there a
/// column that holds its default must not be told from one that was given that value.
fn deferred_default<'a>(new: &'a Column, replace: &Replace) -> Option<&'a crate::catalog::Default> {
    new.default.as_ref().filter(|default| !default.constant || !is_identity(replace))
}

fn hazards(scene: &Scene<'_>, parts: &mut Parts, table: &Table, old: &Column, replace: &Replace) {
    if scene.can.cached_plans {
        parts.hazard(
            "star-readers",
            format!(
                "a prepared `SELECT *` from `{}` fails once when `{}` appears",
                table.name, replace.new
            ),
            "name the columns in queries, or use a driver that prepares again",
        );
    }
    let unique = table.indexes.iter().find(|one| one.unique && one.columns.contains(&old.name));
    if let Some(index) = unique.filter(|_| replace.definition.is_none() && !scene.can.single_writer)
    {
        parts.hazard(
            "unique-copy",
            format!(
                "`{}` is unique by `{}`: sessions that upsert the same value at the same moment \
                 can get a unique violation while both columns exist",
                old.name, index.name
            ),
            "write `-- zdmig:allow unique-copy because \"…\"` where no two sessions upsert the \
             same value at once",
        );
    }
    if replace.reverse.is_none() && !replace.no_sync {
        parts.one_way(
            table,
            &old.name,
            format!(
                "nothing says how `{}.{}` follows from `{}`, so old code would not see what new \
                 code writes",
                table.name, old.name, replace.new
            ),
        );
    }
    if old.nullable && old.default.as_ref().is_some_and(|default| !default.constant) {
        parts.hazard(
            "null-default",
            format!("an insert that writes NULL into `{}` on purpose gets the default", old.name),
            "none is needed where no code writes NULL there",
        );
    }
}

fn fill(
    scene: &Scene<'_>,
    table: &Table,
    new: &Column,
    replace: &Replace,
    tag: &str,
) -> Result<FillRows, PlanError> {
    // A mapping that is its own way back has one true value for each row. Of any other only
    // NULLs are filled: what new code wrote must not be computed over.
    let (pending, (walk, key)) = if is_identity(replace) {
        (Pending::Differs, scene.walk(table, std::slice::from_ref(&new.name))?)
    } else {
        // A write of something else does not fill the row.
        (Pending::Null(replace.condition.clone()), (Walk::Key, scene.key(table)?))
    };
    Ok(FillRows {
        table: table.name.clone(),
        walk,
        key,
        set: vec![Assignment::to(new, replace.forward.clone())],
        pending,
        does_for: Some(tag.to_owned()),
        copy: None,
    })
}

/// Whether both columns hold the same value.
fn is_identity(replace: &Replace) -> bool {
    matches!(&replace.forward, Expr::Column(name) if *name == replace.old)
        && matches!(&replace.reverse, Some(Expr::Column(_)))
}

/// Refuses what two replacements would both make again, and what would bind sooner as a copy.
fn carriable(
    scene: &Scene<'_>,
    table: &Table,
    old: &Column,
    parts: &mut Parts,
) -> Result<(), PlanError> {
    let indexes =
        table.indexes.iter().map(|one| (&one.name, one.columns.iter().collect::<Vec<_>>()));
    let constraints = table.constraints.iter().map(|one| (&one.name, one.columns.iter().collect()));
    let statistics =
        table.statistics_of(&old.name).map(|one| (&one.name, one.columns.iter().collect()));
    let all = indexes.chain(constraints).chain(statistics);
    for (name, columns) in all.filter(|(_, all)| all.contains(&&old.name)) {
        for column in columns {
            let column = ColumnRef::new(&table.name, column);
            if scene.filled.contains(&column) {
                return Err(scene.refused(
                    format!(
                        "`{name}` is over `{}` and `{column}`, which are both replaced",
                        old.name
                    ),
                    "replace one of them, purge it, and then the other, in a migration of its own",
                ));
            }
            // A plan that replaces the other column must not be in flight beside this one.
            if !parts.touches.contains(&column) {
                parts.touches.push(column);
            }
        }
    }
    let deferrable = |one: &&Constraint| {
        one.kind == ConstraintKind::Unique && one.definition.contains("DEFERRABLE")
    };
    match table.constraints_of(&old.name).find(deferrable) {
        Some(one) => Err(scene.refused(
            format!(
                "the unique constraint `{}` is deferrable, and its copy would not be",
                one.name
            ),
            "write the phases yourself under `-- zdmig:expand`, `-- zdmig:backfill` and \
             `-- zdmig:contract`",
        )),
        None => Ok(()),
    }
}

fn carry_indexes(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    (old, new): (&Column, &Column),
    renames: &mut Vec<TakenOver>,
) {
    let unique = |index: &&Index| {
        index.constraint.is_none()
            || table.constraints.iter().any(|one| {
                Some(&one.name) == index.constraint.as_ref() && one.kind == ConstraintKind::Unique
            })
    };
    let touching = table.indexes.iter().filter(|one| one.columns.contains(&old.name));
    for index in touching.filter(unique) {
        let working = scene.working(&format!("{} for {}", index.name, new.name));
        let renamed = vec![(old.name.clone(), new.name.clone())];
        let build = IndexBuild {
            table: table.name.clone(),
            name: working.clone(),
            definition: Sql::new(index.definition.clone()),
            insert_at: None,
            renamed,
            unique: index.unique,
            online: true,
            on_part: false,
            second: false,
        };
        let rebuilt = IndexBuild { name: index.name.clone(), ..build.clone() };
        parts.step(Phase::Backfill, Action::BuildIndex(build));
        renames.push(match &index.constraint {
            Some(name) => TakenOver::UniqueConstraint { from: working, to: name.clone() },
            None => TakenOver::Index { from: working, to: index.name.clone(), rebuilt },
        });
    }
}

fn carry_constraints(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    (old, new): (&Column, &Column),
    renames: &mut Vec<TakenOver>,
) {
    let carried =
        |one: &&Constraint| matches!(one.kind, ConstraintKind::Check | ConstraintKind::Foreign);
    for constraint in table.constraints_of(&old.name).filter(carried) {
        let working = scene.working(&format!("{} for {}", constraint.name, new.name));
        let one = Carried {
            table: table.name.clone(),
            name: working.clone(),
            definition: constraint.definition.clone(),
            renamed: vec![(old.name.clone(), new.name.clone())],
            pointed: Vec::new(),
            at_once: false,
            references: constraint.references.iter().cloned().collect(),
        };
        let others = constraint.references.iter();
        parts.uses.extend(others.map(|table| Words::name(&[&table.name])));
        parts.step(Phase::Backfill, Action::AttachConstraint(one.clone()));
        parts.step(Phase::Backfill, Action::ValidateConstraint(one));
        renames.push(TakenOver::Constraint { from: working, to: constraint.name.clone() });
    }
}
