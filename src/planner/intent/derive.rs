//! Columns that take the place of others in one file, several on one side or on both: those
//! that are added and filled from what is dropped.

use std::collections::BTreeSet;

use super::fill::asks_for_null;
use super::read::Reader;
use super::{Derive, IntentKind, Words};
use crate::catalog::{Catalog, Table};
use crate::change::{ChangeKind, Effect, Fill, NewColumn};
use crate::migration::Directive;
use crate::plan::Expr;
use crate::sql::{ColumnRef, Ident, Span, Sql, mentions, without_literals};

/// The statements of such a change, by their places in the file.
struct Group {
    fills: Vec<usize>,
    adds: Vec<usize>,
    drops: Vec<(usize, Ident)>,
    /// The WHERE of all of them, where it leaves rows out.
    condition: Option<Span>,
}

impl Reader<'_> {
    /// The whole of it, from its first ADD COLUMN.
    pub(super) fn derived(
        &mut self,
        at: usize,
        table: &Table,
        first: &NewColumn,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> Option<IntentKind> {
        if table.key.is_empty() || !self.derives {
            return None;
        }
        let group = self.group(at, table, world)?;
        let source = self.migration.source.clone();
        let condition = group.condition.map(|span| Sql::new(span.of(&source)));
        let mut forward = Vec::new();
        for at in &group.fills {
            let fill = self.fill_at(*at)?.clone();
            for ((column, value), plain) in fill.set.iter().zip(&fill.plain) {
                let known = plain.as_ref().and_then(|name| world.column(table, name));
                let verbatim = || Expr::Verbatim(Sql::new(value.of(&source)));
                let value = known.map_or_else(verbatim, |one| Expr::Column(one.name.clone()));
                forward.push((column.clone(), value));
            }
        }
        let mut columns = vec![first.clone()];
        for at in group.adds.iter().filter(|one| **one != at) {
            changes.push(self.found[*at].change.kind.clone());
            let ChangeKind::AddColumn { column, .. } = &self.found[*at].change.kind else {
                return None;
            };
            columns.push(column.clone());
        }
        for column in &mut columns {
            column.not_null |= self.take_not_null(&table.name, &column.name, world);
            self.take_set_default(&table.name, column, world, changes);
        }
        let olds: Vec<_> = group.drops.iter().map(|(_, name)| name.clone()).collect();
        changes.extend(olds.iter().map(|name| ChangeKind::DropColumn {
            column: ColumnRef::new(&table.name, name),
            if_exists: false,
        }));
        let drops = group.drops.iter().map(|(at, _)| *at);
        for at in group.fills.into_iter().chain(group.adds).chain(drops) {
            self.found[at].used = true;
            self.taken.push(self.found[at].change.span);
        }
        let (reverse, no_sync) = self.ways_back(table, &olds, &columns);
        let whole = Derive {
            table: table.name.clone(),
            columns,
            olds,
            forward,
            reverse,
            no_sync,
            condition,
        };
        Some(IntentKind::Derive(parted(&whole)))
    }

    /// The statements that belong together; `None` where they are the replacement of one
    /// column by one, or none at all.
    fn group(&self, at: usize, table: &Table, world: &Catalog) -> Option<Group> {
        let here = |name| world.find(name).is_some_and(|one| one.name == table.name);
        let source = &self.migration.source;
        let mut adds = vec![];
        let mut added = BTreeSet::new();
        for (place, found) in self.found.iter().enumerate().skip(at) {
            let ChangeKind::AddColumn { table: to, column, .. } = &found.change.kind else {
                continue;
            };
            let free = place == at || !found.used;
            let plain = found.statement.section.is_none() && column.others.is_empty();
            if free && plain && here(to) && world.column(table, &column.name).is_none() {
                adds.push((place, &column.name));
                added.insert(column.name.clone());
            }
        }
        let fills = self.together_with(adds.first()?.1, table, self.fills_of(table, &added, world));
        let set: BTreeSet<&Ident> =
            fills.iter().flat_map(|at| columns(self.fill_at(*at))).collect();
        let adds: Vec<_> = adds.into_iter().filter(|(_, name)| set.contains(name)).collect();
        let last_add = adds.iter().map(|(place, _)| *place).max()?;
        let (first_fill, last_fill) = (*fills.iter().min()?, *fills.iter().max()?);
        // Rows whose new column is NULL are all rows, when the column is new.
        let of = |fill: &Fill| {
            fill.condition.filter(|span| {
                let text = span.of(source);
                !fill.set.iter().any(|(column, _)| asks_for_null(text, column))
            })
        };
        let conditions: Vec<_> = fills.iter().filter_map(|at| self.fill_at(*at)).map(of).collect();
        let condition = conditions.first().copied().flatten();
        let text = |span: &Option<Span>| span.map(|span| span.of(source));
        let one_condition = conditions.iter().all(|one| text(one) == text(&condition));
        let asks_new = condition.is_some_and(|span| {
            set.iter().any(|name| self::reads(span.of(source), name))
                || mentions(span.of(source), "select")
        });
        let values: Vec<Span> =
            fills.iter().filter_map(|at| self.fill_at(*at)).flat_map(values).collect();
        let reads = |name: &Ident| values.iter().any(|one| reads(one.of(source), name));
        // Each column once, all under one condition, and none computed from another.
        let whole = adds.first().is_some_and(|(place, _)| *place == at)
            && last_add < first_fill
            && set.len() == values.len()
            && set.len() == adds.len()
            && one_condition
            && !asks_new
            && !set.iter().any(|name| reads(name));
        let drops = self.drops_of(table, &fills, last_fill, world);
        let drops: Vec<_> = drops.into_iter().filter(|(_, name)| reads(name)).collect();
        // A plain copy is a rename in three statements.
        let copy =
            fills.iter().filter_map(|at| self.fill_at(*at)).all(|one| one.plain[0].is_some());
        let waived = self.migration.directives.iter().any(|one| match one {
            Directive::NoSync { column, .. } => {
                let names = set.iter().copied().chain(drops.iter().map(|(_, name)| name));
                names.into_iter().any(|name| column.is(&table.name.name, name))
            }
            _ => false,
        });
        let several = adds.len() > 1 || drops.len() > 1 || !copy || condition.is_some() || waived;
        let adds = adds.into_iter().map(|(place, _)| place).collect();
        let group = Group { fills, adds, drops, condition };
        (whole && several && self.all_linked(&group)).then_some(group)
    }

    /// Whether every new column is computed from one that goes.
    fn all_linked(&self, group: &Group) -> bool {
        let source = &self.migration.source;
        let mut values = group.fills.iter().filter_map(|at| self.fill_at(*at)).flat_map(values);
        !group.drops.is_empty()
            && values.all(|one| group.drops.iter().any(|(_, name)| reads(one.of(source), name)))
    }

    /// Those of the UPDATEs that set this column, or read what one that does reads too, if that
    /// is dropped.
    fn together_with(&self, column: &Ident, table: &Table, fills: Vec<usize>) -> Vec<usize> {
        let source = &self.migration.source;
        let dropped = |name: &Ident| {
            self.found.iter().any(|found| {
                matches!(&found.change.kind, ChangeKind::DropColumn { column, .. }
                    if column.column == *name)
            })
        };
        let goes: Vec<_> =
            table.columns.iter().map(|one| &one.name).filter(|name| dropped(name)).collect();
        let reads = |at: usize, name: &Ident| {
            let mut values = self.fill_at(at).into_iter().flat_map(values);
            values.any(|one| self::reads(one.of(source), name))
        };
        let mut ours: Vec<usize> = fills
            .iter()
            .copied()
            .filter(|at| columns(self.fill_at(*at)).any(|one| one == column))
            .collect();
        loop {
            let before = ours.len();
            for at in &fills {
                let shares =
                    |one: &usize| goes.iter().any(|name| reads(*at, name) && reads(*one, name));
                if !ours.contains(at) && ours.iter().any(shares) {
                    ours.push(*at);
                }
            }
            if ours.len() == before {
                ours.sort_unstable();
                return ours;
            }
        }
    }

    fn fill_at(&self, at: usize) -> Option<&Fill> {
        match &self.found[at].change.kind {
            ChangeKind::Fill(fill) => Some(fill),
            _ => None,
        }
    }

    /// The UPDATEs that set nothing but new columns, from this row's own values, up to a
    /// statement that may change what they read.
    fn fills_of(&self, table: &Table, added: &BTreeSet<Ident>, world: &Catalog) -> Vec<usize> {
        let source = &self.migration.source;
        let name = Words::name(&[&table.name.name]);
        let mut fills = Vec::new();
        for (at, found) in self.found.iter().enumerate().filter(|(_, found)| !found.used) {
            let moves = match &found.change.kind {
                ChangeKind::Fill(fill) => {
                    let here = world.find(&fill.table).is_some_and(|one| one.name == table.name);
                    let ours = here
                        && found.statement.section.is_none()
                        && fill.whole.is_none()
                        && !fill.set.is_empty()
                        && fill.set.iter().all(|(column, _)| added.contains(column))
                        && values(fill).all(|one| !mentions(one.of(source), "select"));
                    if ours {
                        fills.push(at);
                    }
                    !ours
                }
                ChangeKind::Plain(plain) => matches!(plain.effect, Effect::Moves(_)),
                ChangeKind::Opaque(_) => true,
                _ => false,
            };
            if moves && Words::of(found.change.span.of(source)).hold(&name) {
                break;
            }
        }
        fills
    }

    /// The columns that are dropped after the fills, and that nothing in between names.
    fn drops_of(
        &self,
        table: &Table,
        fills: &[usize],
        last: usize,
        world: &Catalog,
    ) -> Vec<(usize, Ident)> {
        let source = &self.migration.source;
        let mut drops = Vec::new();
        for (at, found) in self.found.iter().enumerate().skip(last) {
            let ChangeKind::DropColumn { column, .. } = &found.change.kind else { continue };
            let here = world.find(&column.table).is_some_and(|one| one.name == table.name);
            let known = world.column(table, &column.column).filter(|_| here);
            let free = !found.used && found.statement.section.is_none();
            let Some(known) = known.filter(|_| free) else { continue };
            let name = Words::name(&[&table.name.name, &known.name]);
            let span = found.change.span;
            let named = self.found[..at].iter().enumerate().any(|(place, one)| {
                !one.used
                    && !fills.contains(&place)
                    && one.change.span != span
                    && Words::of(one.change.span.of(source)).hold(&name)
            });
            if !named {
                drops.push((at, known.name.clone()));
            }
        }
        drops
    }

    /// How the old columns follow from the new ones, and whether the author waived it.
    fn ways_back(
        &self,
        table: &Table,
        olds: &[Ident],
        news: &[NewColumn],
    ) -> (Vec<(Ident, Expr)>, bool) {
        let mut reverse = Vec::new();
        let mut no_sync = false;
        for directive in &self.migration.directives {
            match directive {
                Directive::Reverse { column, expression, .. } => {
                    let old = olds.iter().find(|old| column.is(&table.name.name, old));
                    let value = Expr::Verbatim(Sql::new(expression.as_str()));
                    reverse.extend(old.map(|old| (old.clone(), value)));
                }
                Directive::NoSync { column, .. } => {
                    let names = olds.iter().chain(news.iter().map(|one| &one.name));
                    no_sync |= names.into_iter().any(|one| column.is(&table.name.name, one));
                }
                _ => {}
            }
        }
        (reverse, no_sync)
    }
}

fn columns(fill: Option<&Fill>) -> impl Iterator<Item = &Ident> {
    fill.into_iter().flat_map(|fill| fill.set.iter().map(|(column, _)| column))
}

fn values(fill: &Fill) -> impl Iterator<Item = Span> + '_ {
    fill.set.iter().map(|(_, value)| *value)
}

/// Whether an expression reads a column.
fn reads(text: &str, column: &Ident) -> bool {
    mentions(&without_literals(text), column.as_str())
}

/// One mapping each for columns that have nothing to do with each other: a write to one must not
/// compute the others anew.
fn parted(whole: &Derive) -> Vec<Derive> {
    let mentioned = |value: &Expr, name: &Ident| match value {
        Expr::Column(column) => column == name,
        Expr::Verbatim(sql) => reads(sql.as_str(), name),
    };
    let mut rest: Vec<_> = whole.columns.clone();
    let mut parts: Vec<Derive> = Vec::new();
    while let Some(first) = rest.pop() {
        let mut part = Derive {
            columns: vec![first],
            olds: Vec::new(),
            forward: Vec::new(),
            reverse: Vec::new(),
            ..whole.clone()
        };
        loop {
            let before = (part.columns.len(), part.olds.len());
            let inside = |name: &Ident| part.columns.iter().any(|one| one.name == *name);
            let forward: Vec<_> =
                whole.forward.iter().filter(|(name, _)| inside(name)).cloned().collect();
            let back = |old: &Ident| {
                let mut reverse = whole.reverse.iter().filter(|(name, _)| name == old);
                reverse.any(|(_, value)| {
                    part.columns.iter().any(|column| mentioned(value, &column.name))
                })
            };
            let read = |old: &&Ident| forward.iter().any(|(_, value)| mentioned(value, old));
            let olds: Vec<_> =
                whole.olds.iter().filter(|old| read(old) || back(old)).cloned().collect();
            let (linked, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|column| {
                whole.forward.iter().any(|(name, value)| {
                    *name == column.name && olds.iter().any(|old| mentioned(value, old))
                }) || whole
                    .reverse
                    .iter()
                    .any(|(old, value)| olds.contains(old) && mentioned(value, &column.name))
            });
            rest = others;
            part.reverse =
                whole.reverse.iter().filter(|(old, _)| olds.contains(old)).cloned().collect();
            (part.forward, part.olds) = (forward, olds);
            part.columns.extend(linked);
            if before == (part.columns.len(), part.olds.len()) {
                break;
            }
        }
        parts.push(part);
    }
    // In the order of the file.
    for part in &mut parts {
        let at = |name: &Ident| whole.columns.iter().position(|one| one.name == *name);
        part.columns.sort_by_key(|one| at(&one.name));
        part.forward.sort_by_key(|(name, _)| at(name));
    }
    parts.reverse();
    parts
}
