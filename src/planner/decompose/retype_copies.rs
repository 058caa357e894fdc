//! Copies of what hangs on columns that get another type, for the hidden ones: indexes,
//! constraints, foreign keys of other tables.

use super::retype_column::{child, counts};
use super::{Hidden, Parts, Scene};
use crate::catalog::{Constraint, ConstraintKind, Index, Table};
use crate::plan::{
    Action, Carried, IndexBuild, IndexRole, Phase, Swap, SwappedConstraint, SwappedIndex, Verify,
    VerifyRule,
};
use crate::planner::intent::Words;
use crate::sql::{ColumnRef, Ident, Sql, TableName, mentions};

/// The columns that a foreign key points to, in its clause.
fn referenced(definition: &str) -> &str {
    let Some((_, rest)) = definition.split_once(" REFERENCES ") else { return "" };
    let open = rest.find('(').unwrap_or(rest.len());
    let close = rest[open..].find(')').map_or(rest.len(), |at| open + at);
    &rest[open..close]
}

/// Copies of what hangs on the columns, for the hidden ones.
pub(super) struct Copies<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) table: &'a Table,
    /// The columns at hand, with their hidden ones.
    pub(super) own: Vec<(ColumnRef, Hidden)>,
    /// Their names.
    pub(super) names: Vec<Ident>,
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

    /// The indexes that touch the columns.
    pub(super) fn indexes(&self, parts: &mut Parts, swap: &mut Swap) {
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
            on_part: false,
            second: false,
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
    pub(super) fn constraints(&self, parts: &mut Parts, swap: &mut Swap) {
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
        let (mut renamed, widens) = self.hidden(&owner.name, one.columns.iter());
        let there = target.map(|target| {
            let columns = target.columns.iter().map(|column| &column.name);
            // The clause doubles the quotes in a name.
            let pointed = |name: &&Ident| {
                let quoted = name.as_str().replace('"', "\"\"");
                mentions(referenced(&one.definition), &quoted)
            };
            self.hidden(&target.name, columns.filter(pointed))
        });
        let (mut pointed, there_too) = there.unwrap_or((Vec::new(), true));
        let settle = Self::settle(widens && there_too);
        if settle == Phase::Contract {
            // By then the hidden columns of earlier statements have taken their places.
            let own = |table: &TableName, (old, _): &(Ident, Ident)| {
                let column = ColumnRef::new(table, old);
                self.own.iter().any(|(known, _)| *known == column)
            };
            renamed.retain(|pair| own(&owner.name, pair));
            pointed.retain(|pair| target.is_some_and(|target| own(&target.name, pair)));
        }
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

    /// What the old indexes and constraints have beside their definitions.
    pub(super) fn marks(&self, swap: &mut Swap) {
        let table = &self.table.name;
        let indexes = swap.indexes.iter().map(|one| (table, &one.name));
        let constraints = swap.constraints.iter().map(|one| (&one.table, &one.name));
        let mut marks = Vec::new();
        for (owner, name) in indexes.chain(constraints) {
            let known = self.scene.catalog.find(owner).into_iter().flat_map(|one| &one.marks);
            marks.extend(
                known.filter(|mark| mark.name() == name).map(|mark| (owner.clone(), mark.clone())),
            );
        }
        swap.marks = marks;
    }
}
