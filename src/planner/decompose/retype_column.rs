//! A column gets another type without a rewrite under a lock: a hidden column of the new
//! type follows the old one by trigger and fill, gets a copy of all that hangs on the old
//! one, and takes its place and its name in one instant behind the gate. From then on the
//! old one, hidden, follows the new one, until purge.

use super::retype_copies::Copies;
use super::set_not_null::{behind_gate, by_check};
use super::{Hidden, Parts, Scene};
use crate::catalog::{Column, Constraint, ConstraintKind, Index, Mark, Table, TableKind};
use crate::dialect::Conversion;
use crate::migration::Directive;
use crate::plan::{
    Action, AddColumn, Assignment, Counts, Expr, FillRows, Pending, Phase, Retyped, Swap, Sync,
    SyncKind, Target, Use, Verify, VerifyRule,
};
use crate::planner::intent::{TypeChange, Words};
use crate::planner::{PlanError, walks};
use crate::sql::{ColumnRef, Ident, Sql, mentions};

/// A column, what is asked for, and what it takes.
pub(super) struct Converted<'a> {
    pub(super) change: &'a TypeChange,
    pub(super) column: &'a Column,
    pub(super) conversion: Conversion,
}

/// Why a copy cannot take a column's place.
pub(super) fn obstacle(
    scene: &Scene<'_>,
    table: &Table,
    columns: &[Converted<'_>],
) -> Option<String> {
    if table.kind != TableKind::Ordinary {
        return Some(format!("`{}` is partitioned or inherits", table.name));
    }
    if table.vague || !walks(scene.dialect, scene.catalog, table) {
        return Some(format!("`{}` has no primary key to walk along", table.name));
    }
    if let Some(column) = table.retired.first() {
        return Some(format!("`{}.{column}` is retired and not yet purged", table.name));
    }
    let tells = |index: &&Index| {
        let touches = columns.iter().any(|one| index.columns.contains(&one.column.name));
        let identity = table.row_identity.as_deref().unwrap_or_default();
        touches && mentions(identity, index.name.as_str())
    };
    if let Some(index) = table.indexes.iter().find(tells) {
        return Some(format!("subscribers tell rows of `{}` by `{}`", table.name, index.name));
    }
    let elsewhere = |mark: &&Mark| {
        let here = |index: &&Index| index.name == *mark.name();
        let touches =
            |index: &Index| columns.iter().any(|one| index.columns.contains(&one.column.name));
        matches!(mark, Mark::Elsewhere(_)) && table.indexes.iter().find(here).is_some_and(touches)
    };
    if let Some(mark) = table.marks.iter().find(elsewhere) {
        return Some(format!("`{}` lies in a tablespace of its own", mark.name()));
    }
    let unknown =
        |one: &&Constraint| one.kind == ConstraintKind::Incoming && one.columns.is_empty();
    if let Some(key) = table.constraints.iter().find(unknown) {
        return Some(format!("`{}`, which points to it, is new in this file", key.definition));
    }
    columns.iter().find_map(|one| column_obstacle(scene, table, one.column))
}

fn column_obstacle(scene: &Scene<'_>, table: &Table, column: &Column) -> Option<String> {
    let named = ColumnRef::new(&table.name, &column.name);
    if scene.added.contains(&named) || scene.filled.contains(&named) {
        return Some(format!("`{named}` is new in this file"));
    }
    if scene.retyped.contains_key(&named) {
        return Some(format!("`{named}` gets another type before"));
    }
    if let Some(why) = shared(scene, table, column) {
        return Some(why);
    }
    if let Some(why) = column.peculiar.iter().find(|why| counts(why).is_none()) {
        return Some(format!("{why}: `{named}`"));
    }
    let carries = |one: &Constraint| {
        matches!(one.kind, ConstraintKind::Primary | ConstraintKind::Unique)
            && one.definition.contains("INCLUDE")
            && table.indexes.iter().any(|index| {
                index.constraint.as_ref() == Some(&one.name) && index.columns.contains(&column.name)
            })
            && !one.columns.contains(&column.name)
    };
    if let Some(one) = table.constraints.iter().find(|one| carries(one)) {
        return Some(format!("`{}` includes `{named}`", one.name));
    }
    table.constraints_of(&column.name).find_map(|one| match one.kind {
        ConstraintKind::Exclusion => Some(format!("`{}` is an exclusion constraint", one.name)),
        ConstraintKind::Primary | ConstraintKind::Unique
            if one.definition.contains("DEFERRABLE") =>
        {
            Some(format!("`{}` is deferrable", one.name))
        }
        ConstraintKind::Incoming => match child(scene, table, one) {
            Some((child, _)) if child.kind == TableKind::Ordinary => None,
            Some((child, _)) => Some(format!("`{}` is partitioned and points to it", child.name)),
            None => Some(format!("nothing is known of the foreign key `{}`", one.name)),
        },
        _ => None,
    })
}

/// What spans another column that this file changes before: there is one copy of it for both
/// where one statement does both, and none where that column is to be renamed first.
fn shared(scene: &Scene<'_>, table: &Table, column: &Column) -> Option<String> {
    let others = table.columns.iter().filter(|one| one.name != column.name);
    others.into_iter().find_map(|other| {
        let named = ColumnRef::new(&table.name, &other.name);
        let what = table.spanning(&column.name, &other.name)?;
        if scene.retyped.contains_key(&named) {
            return Some(format!(
                "`{what}` is over `{}` too, which gets another type before: change both in one \
                 statement",
                other.name
            ));
        }
        let why = "which is new in this file: change the type in a migration of its own";
        scene.filled.contains(&named).then(|| format!("`{what}` is over `{}`, {why}", other.name))
    })
}

/// What counts a column up, by the catalogue's words.
pub(super) fn counts(peculiar: &str) -> Option<Counts> {
    match () {
        () if peculiar.contains("owns a sequence") => Some(Counts::Sequence),
        () if peculiar.contains("identity column") => Some(Counts::Identity),
        () => None,
    }
}

/// The other end of a foreign key that points here.
pub(super) fn child<'a>(
    scene: &'a Scene<'_>,
    table: &Table,
    incoming: &Constraint,
) -> Option<(&'a Table, &'a Constraint)> {
    scene.catalog.tables.values().find_map(|child| {
        let key = child.constraints.iter().find(|one| {
            let there = one.references.as_ref().and_then(|name| scene.catalog.find(name));
            let bare = |text: &str| text.replace('"', "");
            let owner = bare(&incoming.definition);
            let named = [bare(child.name.name.as_str()), bare(&child.name.to_string())];
            one.kind == ConstraintKind::Foreign
                && named.contains(&owner)
                && one.name == incoming.name
                && there.is_some_and(|found| found.name == table.name)
        });
        key.map(|key| (child, key))
    })
}

/// All of it.
pub(super) fn decompose(
    scene: &Scene<'_>,
    table: &Table,
    columns: &[Converted<'_>],
    parts: &mut Parts,
) -> Result<(), PlanError> {
    if columns.is_empty() {
        return Ok(());
    }
    let retyped: Vec<_> = columns.iter().map(|one| retyped(scene, table, one)).collect();
    let widens = retyped.iter().all(|one| one.widens);
    let mut tag = table.name.to_string();
    for one in &retyped {
        let column = ColumnRef::new(&table.name, &one.old.name);
        tag = format!("{tag} {}", one.old.name);
        parts.reshapes_column(&column, Phase::Contract);
        let was = one.old.type_name.clone();
        let hidden = Hidden { name: one.new.name.clone(), widens: one.widens, was };
        parts.retyped.push((column, hidden));
        hazards(scene, table, one, columns, parts);
    }
    let sync = Sync {
        table: table.name.clone(),
        tag: scene.sync_tag(&tag),
        kind: SyncKind::Retype(retyped.clone()),
    };
    for one in &retyped {
        let add = AddColumn {
            table: table.name.clone(),
            column: one.new.clone(),
            default_for_existing: false,
        };
        parts.step(Phase::Expand, Action::AddColumn(add));
    }
    parts.step(Phase::Expand, Action::InstallSync(sync.clone()));
    let names: Vec<Ident> = retyped.iter().map(|one| one.new.name.clone()).collect();
    let (walk, key) = scene.walk(table, &names)?;
    let fill = FillRows {
        table: table.name.clone(),
        walk,
        key,
        set: retyped.iter().map(|one| Assignment::to(&one.new, one.forward.clone())).collect(),
        pending: Pending::Differs,
        does_for: Some(sync.tag.clone()),
        copy: None,
    };
    parts.step(Phase::Backfill, Action::Backfill(fill.clone()));
    prove(parts, &fill, Phase::Backfill);
    for one in retyped.iter().filter(|one| !one.widens) {
        let about = format!("the type {} of {}", one.new.type_name, one.old.name);
        let rule = VerifyRule::Converts(Assignment::to(&one.new, one.forward.clone()), None);
        parts.premise(&about, &table.name, rule);
    }
    if !widens {
        parts.step(Phase::Contract, Action::Tighten(sync.clone()));
        prove(parts, &fill, Phase::Contract);
    }
    let names: Vec<Ident> = retyped.iter().map(|one| one.old.name.clone()).collect();
    let mut swap = Swap {
        sync,
        indexes: Vec::new(),
        constraints: Vec::new(),
        statistics: scene.statistics(table, &names).cloned().collect(),
        marks: Vec::new(),
    };
    not_null(scene, parts, table, &retyped, &fill);
    let copies = Copies { scene, table, own: parts.retyped.clone(), names };
    copies.indexes(parts, &mut swap);
    copies.constraints(parts, &mut swap);
    copies.marks(&mut swap);
    parts.converts.push(table.name.clone());
    parts.holds_whole_row(table);
    parts.settled = Some(Phase::Contract);
    parts.step(Phase::Contract, Action::Swap(swap.clone()));
    parts.step(Phase::Purge, Action::DropSwapped(swap));
    Ok(())
}

fn retyped(scene: &Scene<'_>, table: &Table, one: &Converted<'_>) -> Retyped {
    let (old, change) = (one.column, one.change);
    let named = ColumnRef::new(&table.name, &old.name);
    let tag = scene.tag(&format!("{named} retyped"));
    let new = Column {
        name: Ident::new(format!("zdmig_new_{tag}")),
        type_name: change.new.type_name.clone(),
        collation: change.new.collation.clone(),
        nullable: true,
        default: None,
        peculiar: Vec::new(),
        settings: old.settings.iter().filter(|one| !one.of_type).cloned().collect(),
        ..old.clone()
    };
    let kept = old.default.clone().filter(|_| !change.drops_default);
    let set = change
        .default
        .as_ref()
        .map(|(sql, constant)| crate::catalog::Default { sql: sql.clone(), constant: *constant });
    let reverse = match written_back(scene, &named) {
        Some(Directive::Reverse { expression, .. }) => {
            Some(Expr::Verbatim(Sql::new(expression.as_str())))
        }
        Some(_) => None,
        None => one.conversion.reverse.clone(),
    };
    Retyped {
        old: old.clone(),
        new,
        kept: Ident::new(format!("zdmig_old_{tag}")),
        forward: one.conversion.forward.clone(),
        reverse,
        widens: one.conversion.widens,
        default: set.or(kept),
        counts: old.peculiar.iter().find_map(|why| counts(why)),
    }
}

/// What the author says of the way back: an expression, or that none is wanted.
fn written_back<'a>(scene: &Scene<'a>, column: &ColumnRef) -> Option<&'a Directive> {
    scene.migration.directives.iter().find(|directive| match directive {
        Directive::Reverse { column: path, .. } | Directive::NoSync { column: path, .. } => {
            path.is(&column.table.name, &column.column)
        }
        _ => false,
    })
}

fn hazards(
    scene: &Scene<'_>,
    table: &Table,
    one: &Retyped,
    columns: &[Converted<'_>],
    parts: &mut Parts,
) {
    let column = ColumnRef::new(&table.name, &one.old.name);
    let found = columns.iter().find(|other| other.column.name == one.old.name);
    let Some(asked) = found else { return };
    let to = &asked.conversion.type_name;
    parts.targets.push(Target {
        column: column.clone(),
        ends: Use::Retypes(to.clone()),
        replaced_by: None,
    });
    parts.hazard(
        "type-under-code",
        format!("from contract on `{column}` is {to}: prepared queries of it fail once, and it is the table's last column"),
        "list it under `accepts` in the manifests of the versions that cope with it, and name the \
         columns in INSERT and SELECT",
    );
    let back = written_back(scene, &column);
    if one.reverse.is_none() && back.is_none() {
        parts.one_way(
            table,
            &one.old.name,
            format!(
                "nothing says how {} follows from {to}, so a restore would lose what is written to \
                 `{column}` after contract, and is refused then",
                one.old.type_name
            ),
        );
    }
    let widened = Words::of(&scene.migration.source).hold(&Words::of("alter sequence"));
    if one.counts == Some(Counts::Sequence) && one.widens && !widened {
        parts.hazard(
            "narrow-sequence",
            format!(
                "the sequence of `{column}` still ends where {} does: inserts fail there",
                one.old.type_name
            ),
            &format!("add `ALTER SEQUENCE … AS {to}` to this file"),
        );
    }
}

fn prove(parts: &mut Parts, fill: &FillRows, phase: Phase) {
    for assignment in &fill.set {
        let verify = Verify {
            table: fill.table.clone(),
            rule: VerifyRule::Equal(assignment.clone()),
            repair: Some(fill.clone()),
        };
        parts.step(phase, Action::Verify(verify));
    }
}

fn not_null(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    retyped: &[Retyped],
    fill: &FillRows,
) {
    for one in retyped.iter().filter(|one| !one.old.nullable) {
        let column = ColumnRef::new(&table.name, &one.new.name);
        if one.widens {
            by_check(scene, parts, &column, Some(fill.clone()), Phase::Backfill, None);
        } else {
            behind_gate(scene, parts, &column);
        }
    }
}
