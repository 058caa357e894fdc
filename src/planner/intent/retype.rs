//! ALTER COLUMN … TYPE with what belongs to it: the same for other columns in one statement,
//! and the default that must go before and comes back after.

use super::read::Reader;
use super::{IntentKind, TypeChange, Words};
use crate::catalog::{Catalog, Table};
use crate::change::{ChangeKind, EvolveError};
use crate::planner::PlanError;
use crate::sql::ColumnRef;

impl Reader<'_> {
    /// The change of type further down for which a default is dropped.
    pub(super) fn type_after(
        &self,
        at: usize,
        column: &ColumnRef,
        world: &Catalog,
    ) -> Option<usize> {
        let found = (at + 1..self.found.len()).find(|next| {
            let found = &self.found[*next];
            let free = !found.used && found.statement.section.is_none();
            let ChangeKind::ChangeType(change) = &found.change.kind else { return false };
            free && is(world, &change.column, column)
        })?;
        let name = Words::name(&[&column.table.name, &column.column]);
        (!self.named_between(at, found, &name)).then_some(found)
    }

    /// Whether a statement between two others names something.
    fn named_between(&self, from: usize, to: usize, name: &Words) -> bool {
        let ends = [self.found[from].change.span, self.found[to].change.span];
        self.found[from..to].iter().any(|one| {
            !one.used
                && !ends.contains(&one.change.span)
                && Words::of(one.change.span.of(&self.migration.source)).hold(name)
        })
    }

    /// Every change of type in the statement at `change`, which the one at `first` leads to.
    pub(super) fn change_types(
        &mut self,
        change: usize,
        first: usize,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> Result<IntentKind, PlanError> {
        let span = self.found[change].change.span;
        let unknown = |source: EvolveError| PlanError::Unknown { span, source };
        let ChangeKind::ChangeType(one) = &self.found[change].change.kind else {
            return Ok(IntentKind::Nothing);
        };
        let table = world.require(&one.column.table).map_err(unknown)?;
        let mut columns: Vec<TypeChange> = Vec::new();
        changes.clear();
        for at in change..self.found.len() {
            let found = &self.found[at];
            let ChangeKind::ChangeType(one) = &found.change.kind else { continue };
            if found.used && at != change && at != first {
                continue;
            }
            let mut new = one.clone();
            if found.change.span != span && !self.belongs(change, at, world, table, &columns) {
                continue;
            }
            let known = world.require_column(table, &new.column.column).map_err(unknown)?;
            new.column = ColumnRef::new(&table.name, &known.name);
            self.take(at);
            let drops_default = self.take_dropped(first, at, &new.column, world, changes);
            changes.push(ChangeKind::ChangeType(new.clone()));
            let default = self.take_default(at, &new.column, world, changes);
            columns.push(TypeChange { new, drops_default, default });
        }
        Ok(IntentKind::ChangeTypes { table: table.name.clone(), columns })
    }

    /// Whether a later statement is one change with those so far: an index or a constraint
    /// spans its column and one of theirs, and would be copied for both at once.
    fn belongs(
        &self,
        first: usize,
        at: usize,
        world: &Catalog,
        table: &Table,
        columns: &[TypeChange],
    ) -> bool {
        let found = &self.found[at];
        let ChangeKind::ChangeType(new) = &found.change.kind else { return false };
        let here = world.find(&new.column.table).filter(|one| one.name == table.name);
        let column = here.and_then(|_| world.column(table, &new.column.column));
        let Some(column) = column.filter(|_| found.statement.section.is_none()) else {
            return false;
        };
        let words = Words::of(found.change.span.of(&self.migration.source));
        let apart = |one: &TypeChange| {
            let name = &one.new.column.column;
            *name != column.name && !words.hold(&Words::name(&[name]))
        };
        let spans = |one: &TypeChange| table.spanning(&column.name, &one.new.column.column);
        let beside = self.found[first..at].iter().all(|one| {
            one.used
                || matches!(
                    one.change.kind,
                    ChangeKind::ChangeType(_)
                        | ChangeKind::DropDefault(_)
                        | ChangeKind::SetDefault { .. }
                )
        });
        beside && columns.iter().all(apart) && columns.iter().any(|one| spans(one).is_some())
    }

    fn take(&mut self, at: usize) {
        self.found[at].used = true;
        self.taken.push(self.found[at].change.span);
    }

    /// The DROP DEFAULT before a change of type.
    fn take_dropped(
        &mut self,
        first: usize,
        change: usize,
        column: &ColumnRef,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> bool {
        let span = self.found[change].change.span;
        let dropped = (first..self.found.len()).find(|at| {
            let found = &self.found[*at];
            let ChangeKind::DropDefault(one) = &found.change.kind else { return false };
            let near = *at < change || found.change.span == span;
            near && (!found.used || *at == first) && is(world, one, column)
        });
        if let Some(at) = dropped {
            self.take(at);
            changes.push(ChangeKind::DropDefault(column.clone()));
        }
        dropped.is_some()
    }

    /// The SET DEFAULT after a change of type.
    fn take_default(
        &mut self,
        change: usize,
        column: &ColumnRef,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> Option<(String, bool)> {
        let span = self.found[change].change.span;
        let name = Words::name(&[&column.table.name, &column.column]);
        let at = (0..self.found.len()).find(|at| {
            let found = &self.found[*at];
            let ChangeKind::SetDefault { column: one, .. } = &found.change.kind else {
                return false;
            };
            let free = !found.used && found.statement.section.is_none();
            free && is(world, one, column)
                && (found.change.span == span
                    || *at > change && !self.named_between(change, *at, &name))
        })?;
        self.take(at);
        let ChangeKind::SetDefault { default, constant, .. } = self.found[at].change.kind.clone()
        else {
            return None;
        };
        let column = column.clone();
        changes.push(ChangeKind::SetDefault { column, default: default.clone(), constant });
        Some((default, constant))
    }
}

/// Whether a name as written means this column.
fn is(world: &Catalog, written: &ColumnRef, column: &ColumnRef) -> bool {
    let same = |a: &crate::sql::Ident, b: &crate::sql::Ident| {
        a == b || world.case_insensitive && a.as_str().eq_ignore_ascii_case(b.as_str())
    };
    world.find(&written.table).is_some_and(|table| table.name == column.table)
        && same(&written.column, &column.column)
}
