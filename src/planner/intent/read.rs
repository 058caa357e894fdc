use std::collections::BTreeSet;

use super::section::in_section;
use super::{Intent, IntentKind, Replace, Words};
use crate::catalog::Catalog;
use crate::change::{Change, ChangeKind, Effect, EvolveError, Plain};
use crate::dialect::Dialect;
use crate::migration::{Directive, Migration, Statement};
use crate::planner::PlanError;
use crate::sql::{ColumnRef, Span, Sql, TableName};

/// One change of one statement, until it is part of an intention.
pub(super) struct Found {
    pub(super) statement: Statement,
    pub(super) number: usize,
    pub(super) change: Change,
    pub(super) used: bool,
}

/// Goes through a file, with what it creates on the way.
pub(super) struct Reader<'a> {
    pub(super) migration: &'a Migration,
    pub(super) dialect: &'a dyn Dialect,
    pub(super) created: BTreeSet<TableName>,
    pub(super) found: Vec<Found>,
    /// Statements further down that became part of the intention at hand.
    pub(super) taken: Vec<Span>,
    /// Whether triggers can compute columns before a row is stored.
    pub(super) derives: bool,
}

/// Reads a file's intentions, in the order of their first statements.
pub(in crate::planner) fn read(
    migration: &Migration,
    catalog: &Catalog,
    dialect: &dyn Dialect,
) -> Result<Vec<Intent>, PlanError> {
    let mut world = catalog.clone();
    let found = found(migration, dialect);
    idle(migration, &found)?;
    let mut reader = Reader {
        migration,
        dialect,
        created: BTreeSet::new(),
        found,
        taken: Vec::new(),
        derives: dialect.capabilities(&catalog.server).row_rewriting_triggers,
    };
    let mut intents: Vec<Intent> = Vec::new();
    let mut settings: Vec<Sql> = Vec::new();
    for at in 0..reader.found.len() {
        if reader.found[at].used {
            continue;
        }
        let span = reader.found[at].change.span;
        if let Some(setting) = reader.setting(at) {
            settings.push(setting);
            continue;
        }
        let mut intent = reader.intent(at, &world)?;
        intent.settings.clone_from(&settings);
        for change in &intent.changes {
            world
                .make(change)
                .map_err(|source: EvolveError| PlanError::Unknown { span, source })?;
        }
        let whole = matches!(intent.kind, IntentKind::WithinNew(_) | IntentKind::Expand);
        match intents.last_mut().filter(|last| whole && last.span == span) {
            // One statement with several changes that is run as it stands.
            Some(last) => last.changes.append(&mut intent.changes),
            None if matches!(intent.kind, IntentKind::Nothing) => {}
            None => intents.push(intent),
        }
    }
    Ok(intents)
}

/// Refuses a way back for a column that the file leaves alone: it is a slip of the pen, and
/// its author counts on it.
fn idle(migration: &Migration, found: &[Found]) -> Result<(), PlanError> {
    let kinds = || found.iter().map(|one| &one.change.kind);
    let vague = kinds().any(|kind| matches!(kind, ChangeKind::Opaque(_) | ChangeKind::Plain(_)));
    for directive in migration.directives.iter().filter(|_| !vague) {
        let (path, span) = match directive {
            Directive::Reverse { column, span, .. } | Directive::NoSync { column, span, .. } => {
                (column, *span)
            }
            _ => continue,
        };
        let about = |kind: &ChangeKind| match kind {
            ChangeKind::AddColumn { table, column, .. } => path.is(&table.name, &column.name),
            ChangeKind::DropColumn { column, .. } => path.is(&column.table.name, &column.column),
            ChangeKind::RenameColumn { column, to } => {
                [&column.column, to].iter().any(|name| path.is(&column.table.name, name))
            }
            ChangeKind::ChangeType(new) => path.is(&new.column.table.name, &new.column.column),
            _ => false,
        };
        if !kinds().any(about) {
            return Err(PlanError::Refused {
                span,
                what: format!(
                    "this line is about `{path}`, which no statement of the file changes"
                ),
                remedy: "name a column that the file replaces, drops or gives another type, with \
                         its table, or take the line out"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

/// Why a call is opaque.
const CALLS: &str = "a function of your own may do anything to the tables that it names";

/// The statements of a file that nobody can judge, as far as that shows without a database.
pub(in crate::planner) fn opaque(
    migration: &Migration,
    dialect: &dyn Dialect,
) -> Vec<(Span, String)> {
    let mut created: BTreeSet<TableName> = BTreeSet::new();
    let mut unseen = Vec::new();
    for one in found(migration, dialect) {
        let span = one.change.span;
        match &one.change.kind {
            ChangeKind::CreateTable { table, .. } => {
                created.insert(TableName { schema: None, name: table.name.clone() });
            }
            _ if one.statement.section.is_some() => {}
            ChangeKind::Opaque(why) => unseen.push((span, why.clone())),
            ChangeKind::Plain(plain)
                if plain.effect == Effect::Calls
                    && !plain.objects.iter().all(|object| created.contains(&object.name)) =>
            {
                unseen.push((span, CALLS.to_owned()));
            }
            _ => {}
        }
    }
    unseen
}

fn found(migration: &Migration, dialect: &dyn Dialect) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, statement) in migration.statements.iter().enumerate() {
        let kinds = dialect.interpret(&migration.source, statement.span);
        // A statement that is partly not understood is run as a whole or not at all.
        let opaque = kinds.iter().find(|kind| matches!(kind, ChangeKind::Opaque(_))).cloned();
        let kinds = opaque.map_or(kinds, |kind| vec![kind]);
        for kind in kinds {
            let change = Change { span: statement.span, kind };
            let statement = statement.clone();
            found.push(Found { statement, number: at + 1, change, used: false });
        }
    }
    found
}

impl Reader<'_> {
    fn intent(&mut self, at: usize, world: &Catalog) -> Result<Intent, PlanError> {
        let span = self.found[at].change.span;
        let number = self.found[at].number;
        let change = self.found[at].change.kind.clone();
        let source = self.migration.source.clone();
        self.found[at].used = true;
        self.taken.clear();
        let mut changes = vec![change.clone()];
        let kind = if let Some(section) = self.found[at].statement.section.clone() {
            in_section(&section, &change, world, span)?
        } else if self.leaves_alone(at, world) {
            changes.clear();
            IntentKind::Nothing
        } else if let Some(table) = self.within_new(&change, world, span)? {
            IntentKind::WithinNew(table)
        } else {
            self.kind(at, change, world, &mut changes)?
        };
        let mut words = Words::of(span.of(&source));
        for taken in &self.taken {
            words.add(taken.of(&source));
        }
        if matches!(&kind, IntentKind::Plain(plain) if plain.shows_all()) {
            words.add_star();
        }
        Ok(Intent { span, number, kind, changes, words, settings: Vec::new() })
    }

    /// A setting for the statements after it, as it holds for one transaction.
    fn setting(&mut self, at: usize) -> Option<Sql> {
        let found = &mut self.found[at];
        let ChangeKind::Plain(plain) = &found.change.kind else { return None };
        if plain.effect != Effect::Setting || found.statement.section.is_some() {
            return None;
        }
        found.used = true;
        let sql = plain.sql.trim();
        let lower = sql.to_ascii_lowercase();
        let local = match () {
            () if lower.starts_with("set local") => sql.to_owned(),
            () if lower.starts_with("set session") => format!("SET LOCAL{}", &sql[11..]),
            () if lower.starts_with("set") => format!("SET LOCAL{}", &sql[3..]),
            () => {
                let end = lower.rfind("false").filter(|end| lower[*end..].len() <= 7);
                end.map_or_else(
                    || sql.to_owned(),
                    |end| format!("{}true{}", &sql[..end], &sql[end + 5..]),
                )
            }
        };
        Some(Sql::new(local))
    }

    /// Whether a statement does nothing here: what it asks for is there, or is not, and the
    /// author said that this is no error.
    fn leaves_alone(&mut self, at: usize, world: &Catalog) -> bool {
        let span = self.found[at].change.span;
        match &self.found[at].change.kind {
            ChangeKind::IfTable(table) => {
                if world.find(table).is_none() {
                    for one in self.found.iter_mut().filter(|one| one.change.span == span) {
                        one.used = true;
                    }
                }
                true
            }
            ChangeKind::CreateTable { table, if_not_exists, .. } => {
                *if_not_exists && world.find(&world.placed(table)).is_some()
            }
            ChangeKind::AddColumn { table, column, if_not_exists: true } => {
                let found = world.find(table);
                found.is_some_and(|table| world.column(table, &column.name).is_some())
            }
            ChangeKind::DropColumn { column, if_exists: true } => {
                let found = world.find(&column.table);
                found.is_some_and(|table| world.column(table, &column.column).is_none())
            }
            ChangeKind::DropConstraint { table, name, if_exists: true } => {
                let found = world.find(table);
                found.is_some_and(|table| table.constraints.iter().all(|one| one.name != *name))
            }
            ChangeKind::DropTable { tables, if_exists: true } => {
                tables.iter().all(|table| world.find(table).is_none())
            }
            ChangeKind::DropIndex { index, if_exists: true } => world.index(index).is_none(),
            ChangeKind::Plain(plain) => {
                matches!(plain.effect, Effect::Nothing | Effect::Boundary)
            }
            _ => false,
        }
    }

    /// The table that this file creates, if the statement is about one: nobody uses it yet.
    fn within_new(
        &self,
        change: &ChangeKind,
        world: &Catalog,
        span: Span,
    ) -> Result<Option<TableName>, PlanError> {
        match change {
            // Rows that are copied into it may be many, and an index beside writers can only
            // be built outside of a transaction.
            ChangeKind::CreateTable { .. } | ChangeKind::DropTable { .. } => return Ok(None),
            ChangeKind::Plain(Plain { effect: Effect::Moves(_), .. }) => return Ok(None),
            ChangeKind::CreateIndex(index) if index.concurrently => return Ok(None),
            _ => {}
        }
        let name = change.table().map(|table| world.placed(table));
        let Some(name) = name.filter(|name| self.created.contains(name)) else { return Ok(None) };
        let unknown = |source: EvolveError| PlanError::Unknown { span, source };
        world.require(&name).map_err(unknown)?;
        Ok(Some(name))
    }

    fn kind(
        &mut self,
        at: usize,
        change: ChangeKind,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> Result<IntentKind, PlanError> {
        let span = self.found[at].change.span;
        let unknown = |source: EvolveError| PlanError::Unknown { span, source };
        let known = |column: &ColumnRef| -> Result<ColumnRef, PlanError> {
            let table = world.require(&column.table).map_err(unknown)?;
            let found = world.require_column(table, &column.column).map_err(unknown)?;
            Ok(ColumnRef::new(&table.name, &found.name))
        };
        let table_of = |table: &TableName| -> Result<TableName, PlanError> {
            Ok(world.require(table).map_err(unknown)?.name.clone())
        };
        Ok(match change {
            ChangeKind::CreateTable { table, .. } => self.create_table(&table, world),
            ChangeKind::AddColumn { table, column, .. } => {
                let table = world.require(&table).map_err(unknown)?;
                match self.derived(at, table, &column, world, changes) {
                    Some(derived) => derived,
                    None => self.add_column(table, column, world, changes),
                }
            }
            ChangeKind::RenameColumn { column, to } => {
                let old = known(&column)?;
                let table = world.require(&column.table).map_err(unknown)?;
                let nullable = world.column(table, &old.column).is_none_or(|one| one.nullable);
                let loosened = self.take_drop_not_null(&old.table, &to, world, changes);
                let not_null = !nullable && !loosened;
                IntentKind::Replace(Box::new(Replace::rename(&old, &to, not_null)))
            }
            ChangeKind::DropColumn { column, .. } => IntentKind::DropColumn(known(&column)?),
            ChangeKind::SetNotNull(column) => {
                IntentKind::SetNotNull { column: known(&column)?, fill: None }
            }
            ChangeKind::DropNotNull(column) => IntentKind::DropNotNull(known(&column)?),
            ChangeKind::SetDefault { column, default, .. } => {
                IntentKind::SetDefault { column: known(&column)?, default }
            }
            ChangeKind::DropDefault(column) => {
                let column = known(&column)?;
                match self.type_after(at, &column, world) {
                    Some(change) => self.change_types(change, at, world, changes)?,
                    None => IntentKind::DropDefault(column),
                }
            }
            ChangeKind::ChangeType(_) => self.change_types(at, at, world, changes)?,
            ChangeKind::AddConstraint(mut one) => {
                one.table = table_of(&one.table)?;
                one.references = one.references.map(|table| {
                    world.find(&table).map_or_else(|| world.placed(&table), |one| one.name.clone())
                });
                IntentKind::AddConstraint(one)
            }
            ChangeKind::DropConstraint { table, name, .. } => {
                IntentKind::DropConstraint { table: table_of(&table)?, name }
            }
            ChangeKind::RenameTable { table, to } => {
                let table = table_of(&table)?;
                IntentKind::RenameTable { to: table.renamed(&to), table }
            }
            ChangeKind::DropTable { tables, if_exists } => {
                let there = |table: &&TableName| !if_exists || world.find(table).is_some();
                let tables = tables.iter().filter(there).map(table_of);
                IntentKind::DropTables(tables.collect::<Result<_, _>>()?)
            }
            ChangeKind::CreateIndex(index) => IntentKind::CreateIndex(index),
            ChangeKind::DropIndex { index, .. } => {
                let missing = || EvolveError::NoIndex { index: index.clone() };
                let (table, found) = world.index(&index).ok_or_else(|| unknown(missing()))?;
                IntentKind::DropIndex { table: table.name.clone(), index: found.name.clone() }
            }
            ChangeKind::Fill(fill) => self.lone_fill(at, &fill, world, changes)?,
            ChangeKind::Plain(plain) if plain.effect == Effect::Temporary => {
                self.together(at, &plain, changes)
            }
            ChangeKind::Plain(plain) => self.plain(plain, world),
            ChangeKind::IfTable(_) => IntentKind::Nothing,
            ChangeKind::Opaque(why) => IntentKind::Opaque(why),
        })
    }

    fn plain(&mut self, plain: Plain, world: &Catalog) -> IntentKind {
        let placed = plain.objects.iter().map(|object| world.placed(&object.name));
        let names: Vec<_> = placed.collect();
        if plain.effect == Effect::Calls {
            let new = names.iter().all(|name| self.created.contains(name));
            return match names.first().filter(|_| new) {
                Some(table) => IntentKind::WithinNew(table.clone()),
                None => IntentKind::Opaque(CALLS.into()),
            };
        }
        if plain.makes_relation() {
            self.created.extend(names);
        }
        IntentKind::Plain(plain)
    }

    fn create_table(&mut self, table: &TableName, world: &Catalog) -> IntentKind {
        let table = world.placed(table);
        self.created.insert(table.clone());
        IntentKind::CreateTable(table)
    }

    /// From a temporary table to the last statement that names it: one piece, because the
    /// table is gone with the session.
    fn together(&mut self, at: usize, plain: &Plain, changes: &mut Vec<ChangeKind>) -> IntentKind {
        let source = self.migration.source.clone();
        let names: Vec<_> =
            plain.objects.iter().map(|object| Words::name(&[&object.name.name])).collect();
        let uses = |found: &Found| {
            let words = Words::of(found.change.span.of(&source));
            names.iter().any(|name| words.hold(name))
        };
        let last = self.found.iter().rposition(uses).unwrap_or(at);
        let mut statements: Vec<Sql> = Vec::new();
        let mut before = None;
        for found in &mut self.found[at..=last] {
            found.used = true;
            let ours = matches!(&found.change.kind, ChangeKind::Plain(one)
                if matches!(one.effect, Effect::Boundary));
            if before == Some(found.change.span) || ours {
                continue;
            }
            before = Some(found.change.span);
            self.taken.push(found.change.span);
            statements.push(Sql::new(found.change.span.of(&source)));
            changes.push(found.change.kind.clone());
        }
        IntentKind::Together(statements)
    }
}
