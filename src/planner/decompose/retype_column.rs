//! A column gets another type without a rewrite under a lock: a hidden column of the new
//! type follows the old one by trigger and fill, gets a copy of all that hangs on the old
//! one, and takes its place and its name in one instant behind the gate. From then on the
//! old one, hidden, follows the new one, until purge.

use super::set_not_null::{behind_gate, by_check};
use super::{Hidden, Parts, Scene};
use crate::catalog::{Column, Constraint, ConstraintKind, DependentKind, Index, Table, TableKind};
use crate::dialect::Conversion;
use crate::migration::{ColumnPath, Directive};
use crate::plan::{
    Action, AddColumn, Assignment, Carried, Counts, Expr, FillRows, IndexBuild, IndexRole, Pending,
    Phase, Retyped, Swap, SwappedConstraint, SwappedIndex, Sync, SyncKind, Target, Use, Verify,
    VerifyRule,
};
use crate::planner::PlanError;
use crate::planner::intent::{TypeChange, Words};
use crate::sql::{ColumnRef, Ident, Sql, TableName, mentions};

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
    if table.vague || table.key.is_empty() {
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
    if let Some(why) = column.peculiar.iter().find(|why| counts(why).is_none()) {
        return Some(format!("{why}: `{named}`"));
    }
    let carries = |one: &Constraint| {
        matches!(one.kind, ConstraintKind::Primary | ConstraintKind::Unique)
            && one.definition.contains("INCLUDE")
            && table.indexes.iter().any(|index| {
                index.constraint.as_ref() == Some(&one.name) && index.columns.contains(&column.name)
            })
            && !table.key.contains(&column.name)
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

/// What counts a column up, by the catalogue's words.
fn counts(peculiar: &str) -> Option<Counts> {
    match () {
        () if peculiar.contains("owns a sequence") => Some(Counts::Sequence),
        () if peculiar.contains("identity column") => Some(Counts::Identity),
        () => None,
    }
}

/// The other end of a foreign key that points here.
fn child<'a>(
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
        let hidden = Hidden { name: one.new.name.clone(), widens: one.widens };
        parts.retyped.push((column, hidden));
        hazards(scene, table, one, columns, parts);
    }
    let sync = Sync {
        table: table.name.clone(),
        tag: scene.tag(&tag),
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
    let fill = FillRows {
        table: table.name.clone(),
        key: scene.key(table)?,
        set: retyped.iter().map(|one| Assignment::to(&one.new, one.forward.clone())).collect(),
        pending: Pending::Differs,
        does_for: Some(sync.tag.clone()),
    };
    parts.step(Phase::Backfill, Action::Backfill(fill.clone()));
    prove(parts, &fill, Phase::Backfill);
    for one in retyped.iter().filter(|one| !one.widens) {
        let about = format!("the type {} of {}", one.new.type_name, one.old.name);
        let rule = VerifyRule::Converts(Assignment::to(&one.new, one.forward.clone()));
        parts.premise(&about, &table.name, rule);
    }
    if !widens {
        parts.step(Phase::Contract, Action::Tighten(sync.clone()));
        prove(parts, &fill, Phase::Contract);
    }
    let mut swap =
        Swap { sync, indexes: Vec::new(), constraints: Vec::new(), statistics: Vec::new() };
    not_null(scene, parts, table, &retyped, &fill);
    let names: Vec<Ident> = retyped.iter().map(|one| one.old.name.clone()).collect();
    let copies = Copies { scene, table, own: parts.retyped.clone(), names };
    copies.indexes(parts, &mut swap);
    copies.constraints(parts, &mut swap);
    copies.statistics(&mut swap);
    parts.converts.push(table.name.clone());
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
        None => one.conversion.by_cast.then(|| one.conversion.reverse.clone()),
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
    let about = |path: &ColumnPath| {
        let mut parts = path.0.iter().rev();
        let name = parts.next();
        let here = parts.next().is_none_or(|table| *table == column.table.name);
        here && name.is_some_and(|name| *name == column.column)
    };
    scene.migration.directives.iter().find(|directive| match directive {
        Directive::Reverse { column, .. } | Directive::NoSync { column, .. } => about(column),
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
        parts.hazard(
            "one-way-sync",
            format!(
                "nothing says how {} follows from {to}, so a restore would lose what is written to \
                 `{column}` after contract, and is refused then",
                one.old.type_name
            ),
            &format!(
                "write `-- zdmig:reverse {0}.{1} = expression`, or `-- zdmig:no-sync {0}.{1} \
                 because \"…\"`",
                table.name.name, one.old.name
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

/// The columns that a foreign key points to, in its clause.
fn referenced(definition: &str) -> &str {
    let Some((_, rest)) = definition.split_once(" REFERENCES ") else { return "" };
    let open = rest.find('(').unwrap_or(rest.len());
    let close = rest[open..].find(')').map_or(rest.len(), |at| open + at);
    &rest[open..close]
}

/// Copies of what hangs on the columns, for the hidden ones.
struct Copies<'a> {
    scene: &'a Scene<'a>,
    table: &'a Table,
    /// The columns at hand, with their hidden ones.
    own: Vec<(ColumnRef, Hidden)>,
    names: Vec<Ident>,
}

impl Copies<'_> {
    /// The hidden columns that stand for some of a table's, and whether no value of them can
    /// fail to be converted.
    fn hidden<'c>(
        &self,
        table: &TableName,
        columns: impl Iterator<Item = &'c Ident>,
    ) -> (Vec<(Ident, Ident)>, bool) {
        let mut widens = true;
        let mut pairs = Vec::new();
        for column in columns {
            let named = ColumnRef::new(table, column);
            let own = self.own.iter().find(|(known, _)| *known == named).map(|(_, hidden)| hidden);
            if let Some(hidden) = own.or_else(|| self.scene.retyped.get(&named)) {
                widens &= hidden.widens;
                pairs.push((column.clone(), hidden.name.clone()));
            }
        }
        (pairs, widens)
    }

    /// What can fail on a value of the old type, or be broken by one, waits for the gate.
    fn settle(widens: bool) -> Phase {
        if widens { Phase::Backfill } else { Phase::Contract }
    }

    fn indexes(&self, parts: &mut Parts, swap: &mut Swap) {
        let touches = |index: &&Index| self.names.iter().any(|name| index.columns.contains(name));
        for index in self.table.indexes.iter().filter(touches) {
            self.index(index, parts, swap);
        }
    }

    fn index(&self, index: &Index, parts: &mut Parts, swap: &mut Swap) {
        let table = &self.table.name;
        let constraint = index.constraint.as_ref().and_then(|name| {
            let own = |one: &&Constraint| {
                one.name == *name
                    && matches!(one.kind, ConstraintKind::Primary | ConstraintKind::Unique)
            };
            self.table.constraints.iter().find(own)
        });
        let role = match constraint {
            Some(one) if one.kind == ConstraintKind::Primary => IndexRole::Primary,
            Some(_) => IndexRole::Constraint,
            None if index.unique => IndexRole::Unique,
            None => IndexRole::Plain,
        };
        let (renamed, widens) = self.hidden(table, index.columns.iter());
        let settle = Self::settle(widens);
        let working = self.scene.working(&format!("{} retyped", index.name));
        // Of an index over some rows the rest may well agree.
        let all_rows = !index.keys.is_empty() && !index.definition.contains(" WHERE ");
        if index.unique && !widens && all_rows {
            let now = |key: &Ident| {
                renamed.iter().find(|(old, _)| old == key).map_or(key, |(_, new)| new).clone()
            };
            let rule = VerifyRule::Distinct(index.keys.iter().map(now).collect());
            let verify = Verify { table: table.clone(), rule, repair: None };
            parts.step(settle, Action::Verify(verify));
        }
        let counted = |name: &Ident| {
            let known = self.scene.catalog.column(self.table, name);
            known.is_some_and(|one| one.peculiar.iter().any(|why| counts(why).is_some()))
        };
        if index.unique && !index.columns.iter().any(counted) {
            parts.hazard(
                "unique-copy",
                format!(
                    "`{}` has a copy until contract: sessions that upsert the same value at the \
                     same moment can get a unique violation from it",
                    index.name
                ),
                "write `-- zdmig:allow unique-copy because \"…\"` where no two sessions upsert the \
                 same value at once",
            );
        }
        let build = IndexBuild {
            table: table.clone(),
            name: working.clone(),
            definition: Sql::new(index.definition.as_str()),
            insert_at: None,
            renamed: renamed.clone(),
            unique: index.unique,
            online: true,
        };
        parts.step(settle, Action::BuildIndex(build));
        parts.late.push((Phase::Contract, Words::name(&[&index.name])));
        let definition = constraint.map_or(&index.definition, |one| &one.definition);
        swap.indexes.push(SwappedIndex {
            name: index.name.clone(),
            working,
            role,
            definition: Sql::new(definition.as_str()),
            copy: Sql::new(index.definition.as_str()),
            renamed,
        });
    }

    /// The checks and foreign keys over the columns, and foreign keys that point to them.
    fn constraints(&self, parts: &mut Parts, swap: &mut Swap) {
        let about = |one: &&Constraint| self.names.iter().any(|name| one.columns.contains(name));
        let mut copied: Vec<(&Table, &Constraint)> = Vec::new();
        for one in self.table.constraints.iter().filter(about) {
            let found = match one.kind {
                ConstraintKind::Check | ConstraintKind::Foreign => Some((self.table, one)),
                ConstraintKind::Incoming => child(self.scene, self.table, one),
                _ => None,
            };
            // A key of the table to itself is found from both of its ends.
            let new = |(owner, key): &(&Table, &Constraint)| {
                !copied.iter().any(|(known, one)| known.name == owner.name && one.name == key.name)
            };
            copied.extend(found.filter(new));
        }
        for (owner, one) in copied {
            self.constraint(owner, one, parts, swap);
        }
    }

    fn constraint(&self, owner: &Table, one: &Constraint, parts: &mut Parts, swap: &mut Swap) {
        let target = one.references.as_ref().and_then(|name| self.scene.catalog.find(name));
        let (renamed, widens) = self.hidden(&owner.name, one.columns.iter());
        let there = target.map(|target| {
            let columns = target.columns.iter().map(|column| &column.name);
            // The clause doubles the quotes in a name.
            let pointed = |name: &&Ident| {
                let quoted = name.as_str().replace('"', "\"\"");
                mentions(referenced(&one.definition), &quoted)
            };
            self.hidden(&target.name, columns.filter(pointed))
        });
        let (pointed, there_too) = there.unwrap_or((Vec::new(), true));
        let settle = Self::settle(widens && there_too);
        let working =
            self.scene.working(&format!("{} of {} for {}", one.name, owner.name, self.table.name));
        let carried = Carried {
            table: owner.name.clone(),
            name: working.clone(),
            definition: one.definition.clone(),
            renamed,
            pointed,
            references: target.iter().map(|table| table.name.clone()).collect(),
            at_once: false,
        };
        parts.step(settle, Action::AttachConstraint(carried.clone()));
        if !one.definition.ends_with("NOT VALID") {
            parts.step(settle, Action::ValidateConstraint(carried));
        }
        for column in &one.columns {
            let column = ColumnRef::new(&owner.name, column);
            if !parts.touches.contains(&column) {
                parts.touches.push(column);
            }
        }
        parts.uses.extend(target.map(|table| Words::name(&[&table.name.name])));
        parts.late.push((Phase::Contract, Words::name(&[&one.name])));
        swap.constraints.push(SwappedConstraint {
            table: owner.name.clone(),
            name: one.name.clone(),
            working,
            definition: one.definition.clone(),
            references: target.map(|table| table.name.clone()),
        });
    }

    /// Extended statistics are made again under the same name, over the same columns' names.
    fn statistics(&self, swap: &mut Swap) {
        let of = |kind: DependentKind| kind == DependentKind::Statistics;
        for dependent in self.table.dependents.iter().filter(|one| of(one.kind)) {
            if !self.names.iter().any(|name| dependent.columns.contains(name)) {
                continue;
            }
            let found =
                self.scene.catalog.objects.iter().find(|object| {
                    object.kind == "statistics" && object.name.name == dependent.name
                });
            if let Some(object) = found {
                let again = Sql::new(object.definition.as_str());
                swap.statistics.push((object.name.clone(), again));
            }
        }
    }
}
