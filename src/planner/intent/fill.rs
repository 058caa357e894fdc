//! Statements that belong to another one: the UPDATE that fills a new column, the DROP of
//! the column it takes the place of, the SET NOT NULL behind them.

use std::collections::BTreeSet;

use super::read::Reader;
use super::{IntentKind, Replace, RowFill, Words};
use crate::catalog::{Catalog, Table};
use crate::change::{ChangeKind, Effect, EvolveError, Fill, NewColumn};
use crate::migration::{ColumnPath, Directive};
use crate::plan::Expr;
use crate::planner::{PlanError, walks};
use crate::sql::{ColumnRef, Ident, Sql, TableName, mentions, without_literals};

impl Reader<'_> {
    /// ADD COLUMN, with what belongs to it further down.
    pub(super) fn add_column(
        &mut self,
        table: &Table,
        column: NewColumn,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> IntentKind {
        let name = table.name.clone();
        // Rows that have no key are not filled in chunks: the UPDATE goes on by itself.
        let walks = walks(self.dialect, world, table);
        let defaulted = column.default.is_some();
        let fill = walks.then(|| self.take_fill(table, &column.name, defaulted, world)).flatten();
        let Some((fill, mentions)) = fill else {
            let mut column = column;
            // A fill that goes on by itself must be done before.
            if !self.filled_later(table, &column.name, world) {
                column.not_null |= self.take_not_null(&name, &column.name, world);
            }
            return IntentKind::AddColumn { table: name, column, fill: None };
        };
        let not_null = self.take_not_null(&name, &column.name, world) || column.not_null;
        let mut column = column;
        column.not_null = not_null;
        let Some(old) = self.take_drop(table, &mentions, world) else {
            return IntentKind::AddColumn { table: name, column, fill: Some(fill) };
        };
        self.take_set_default(&name, &mut column, world, changes);
        let gone = ColumnRef::new(&name, &old);
        changes.push(ChangeKind::DropColumn { column: gone, if_exists: false });
        let (reverse, no_sync) = self.reverse(&name, &old, &column.name, &fill.value);
        IntentKind::Replace(Box::new(Replace {
            table: name,
            old,
            new: column.name.clone(),
            not_null,
            definition: Some(column),
            forward: fill.value,
            reverse,
            no_sync,
            condition: fill.condition,
        }))
    }

    /// The UPDATE further down that fills this column and no other, with the names in it.
    fn take_fill(
        &mut self,
        table: &Table,
        column: &Ident,
        defaulted: bool,
        world: &Catalog,
    ) -> Option<(RowFill, BTreeSet<Ident>)> {
        let source = self.migration.source.clone();
        let of_row = |fill: &Fill| {
            let text = fill.set[0].1.of(&source);
            !mentions(text, "select") && !mentions(&without_literals(text), column.as_str())
        };
        let name = Words::name(&[&table.name.name]);
        let moves = self.found.iter().position(|found| {
            let moves = match &found.change.kind {
                // The fill that is looked for is the first to write the column, and alone.
                ChangeKind::Fill(fill) => {
                    fill.set.len() > 1 || fill.set.iter().all(|(one, _)| !same(world, one, column))
                }
                ChangeKind::Plain(plain) => matches!(plain.effect, Effect::Moves(_)),
                ChangeKind::Opaque(_) => true,
                _ => false,
            };
            !found.used && moves && Words::of(found.change.span.of(&source)).hold(&name)
        });
        // It may read what a statement before it wrote.
        let upto = moves.unwrap_or(self.found.len());
        let found = self.found[..upto].iter_mut().find(|found| {
            let ChangeKind::Fill(fill) = &found.change.kind else { return false };
            !found.used
                && found.statement.section.is_none()
                && fill.whole.is_none()
                && fill.set.len() == 1
                // Rows that the condition leaves out keep the default.
                && !(defaulted && fill.condition.is_some())
                && world.find(&fill.table).is_some_and(|one| one.name == table.name)
                && same(world, &fill.set[0].0, column)
                // What it reads elsewhere may be written by a statement in between, and a
                // trigger would read it for every row.
                && of_row(fill)
        })?;
        found.used = true;
        self.taken.push(found.change.span);
        let ChangeKind::Fill(fill) = &found.change.kind else { return None };
        let text = fill.set[0].1.of(&source);
        let mentions = table
            .columns
            .iter()
            .filter(|one| mentions(text, one.name.as_str()))
            .map(|one| one.name.clone())
            .collect();
        let value = match &fill.plain[0] {
            Some(name) => match world.column(table, name) {
                Some(known) => Expr::Column(known.name.clone()),
                None => Expr::Verbatim(Sql::new(text)),
            },
            None => Expr::Verbatim(Sql::new(text)),
        };
        let condition = fill.condition.map(|span| Sql::new(span.of(&source)));
        Some((RowFill { value, condition }, mentions))
    }

    /// The DROP COLUMN further down of a column that the new one is computed from.
    fn take_drop(
        &mut self,
        table: &Table,
        mentions: &BTreeSet<Ident>,
        world: &Catalog,
    ) -> Option<Ident> {
        let drops: Vec<_> = (0..self.found.len())
            .filter_map(|at| {
                let found = &self.found[at];
                let ChangeKind::DropColumn { column, .. } = &found.change.kind else { return None };
                let here = world.find(&column.table).is_some_and(|one| one.name == table.name);
                let known = world.column(table, &column.column)?.name.clone();
                let name = Words::name(&[&table.name.name, &known]);
                let free = !found.used && found.statement.section.is_none() && here;
                (free && !self.named_before(at, &name)).then_some((at, known))
            })
            .filter(|(_, name)| mentions.contains(name))
            .collect();
        // Two columns merged into one are two drops: not one change.
        let [(at, name)] = drops.as_slice() else { return None };
        self.found[*at].used = true;
        self.taken.push(self.found[*at].change.span);
        Some(name.clone())
    }

    fn filled_later(&self, table: &Table, column: &Ident, world: &Catalog) -> bool {
        self.found.iter().any(|found| match &found.change.kind {
            ChangeKind::Fill(fill) => {
                !found.used
                    && world.find(&fill.table).is_some_and(|one| one.name == table.name)
                    && fill.set.iter().any(|(one, _)| same(world, one, column))
            }
            _ => false,
        })
    }

    /// Whether a statement between here and the one at `at` names something: then that one
    /// cannot be done before it.
    fn named_before(&self, at: usize, name: &Words) -> bool {
        let span = self.found[at].change.span;
        let between = self.found[..at].iter().filter(|one| !one.used && one.change.span != span);
        between
            .into_iter()
            .any(|one| Words::of(one.change.span.of(&self.migration.source)).hold(name))
    }

    pub(super) fn take_not_null(
        &mut self,
        table: &TableName,
        column: &Ident,
        world: &Catalog,
    ) -> bool {
        // Its statement may hold other actions, whose words are not this one's.
        let taken = self.take_of(table, column, world, |kind| match kind {
            ChangeKind::SetNotNull(one) => Some(one),
            _ => None,
        });
        taken.is_some()
    }

    /// The DROP NOT NULL further down of a column that is renamed here: what may be NULL in the
    /// end is never made NOT NULL.
    pub(super) fn take_drop_not_null(
        &mut self,
        table: &TableName,
        column: &Ident,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> bool {
        let taken = self.take_of(table, column, world, |kind| match kind {
            ChangeKind::DropNotNull(one) => Some(one),
            _ => None,
        });
        let found = taken.is_some();
        changes.extend(taken);
        found
    }

    /// The SET DEFAULT further down of a column that is new here: until the old columns go, a
    /// column that holds its default must not be taken for one that was given that value.
    pub(super) fn take_set_default(
        &mut self,
        table: &TableName,
        column: &mut NewColumn,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) {
        let taken = self.take_of(table, &column.name, world, |kind| match kind {
            ChangeKind::SetDefault { column, .. } => Some(column),
            _ => None,
        });
        if let Some(ChangeKind::SetDefault { default, constant, .. }) = &taken {
            (column.default, column.default_constant) = (Some(default.clone()), *constant);
        }
        changes.extend(taken);
    }

    /// The change of a column further down that `of` asks for, which belongs to the intention at
    /// hand from now on.
    fn take_of(
        &mut self,
        table: &TableName,
        column: &Ident,
        world: &Catalog,
        of: impl Fn(&ChangeKind) -> Option<&ColumnRef>,
    ) -> Option<ChangeKind> {
        let found = self.found.iter_mut().find(|found| {
            of(&found.change.kind).is_some_and(|one| {
                world.find(&one.table).is_some_and(|found| found.name == *table)
                    && same(world, &one.column, column)
            }) && !found.used
                && found.statement.section.is_none()
        })?;
        found.used = true;
        Some(found.change.kind.clone())
    }

    /// How the old column follows from the new one, and whether the author waived it.
    fn reverse(
        &self,
        table: &TableName,
        old: &Ident,
        new: &Ident,
        forward: &Expr,
    ) -> (Option<Expr>, bool) {
        let about = |path: &ColumnPath| path.is(&table.name, old) || path.is(&table.name, new);
        for directive in &self.migration.directives {
            match directive {
                Directive::Reverse { column, expression, .. } if about(column) => {
                    return (Some(Expr::Verbatim(Sql::new(expression.as_str()))), false);
                }
                Directive::NoSync { column, .. } if about(column) => return (None, true),
                _ => {}
            }
        }
        let identity = matches!(forward, Expr::Column(name) if name == old);
        (identity.then(|| Expr::Column(new.clone())), false)
    }

    /// An UPDATE that belongs to no new column.
    pub(super) fn lone_fill(
        &mut self,
        at: usize,
        fill: &Fill,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> Result<IntentKind, PlanError> {
        let span = self.found[at].change.span;
        let unknown = |source: EvolveError| PlanError::Unknown { span, source };
        let table = world.require(&fill.table).map_err(unknown)?;
        for (column, _) in &fill.set {
            world.require_column(table, column).map_err(unknown)?;
        }
        // An UPDATE in front of its SET NOT NULL belongs to it.
        let condition = fill.condition.map(|span| span.of(&self.migration.source));
        if let [(column, value)] = fill.set.as_slice()
            && fill.whole.is_none()
            && walks(self.dialect, world, table)
            && condition.is_some_and(|condition| asks_for_null(condition, column))
            && self.take_not_null(&table.name, column, world)
        {
            let column = world.require_column(table, column).map_err(unknown)?;
            let column = ColumnRef::new(&table.name, &column.name);
            changes.push(ChangeKind::SetNotNull(column.clone()));
            let value = Expr::Verbatim(Sql::new(value.of(&self.migration.source)));
            let fill = RowFill { value, condition: None };
            return Ok(IntentKind::SetNotNull { column, fill: Some(fill) });
        }
        let mut fill = fill.clone();
        fill.table = table.name.clone();
        Ok(IntentKind::Update(fill))
    }
}

fn same(world: &Catalog, a: &Ident, b: &Ident) -> bool {
    a == b || world.case_insensitive && a.as_str().eq_ignore_ascii_case(b.as_str())
}

/// Whether a condition is `column IS NULL` and nothing else: rows that hold a value must not
/// be changed by what only fills NULLs, and no row that the author means must be left out.
pub(super) fn asks_for_null(condition: &str, column: &Ident) -> bool {
    let bare = condition.replace(['(', ')', '"'], " ").to_lowercase();
    let words: Vec<_> = bare.split_whitespace().collect();
    let name = column.as_str().to_lowercase();
    words == [name.as_str(), "is", "null"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_test_for_null_is_one() {
        let column = Ident::new("plan");
        assert!(asks_for_null("(Plan IS NULL)", &column));
        for other in ["plan IS NULL OR plan = 'x'", "plan IS NOT NULL", "id IS NULL", "true"] {
            assert!(!asks_for_null(other, &column), "{other}");
        }
    }
}
