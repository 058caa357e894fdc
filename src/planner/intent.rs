//! From statements to intentions: statements that only make sense together are put
//! together here, so that `ADD COLUMN` + `UPDATE` + `DROP COLUMN` is one change.

use std::collections::BTreeSet;

use super::PlanError;
use crate::catalog::{Catalog, Table};
use crate::change::{Change, ChangeKind, EvolveError, Fill, NewColumn, NewIndex};
use crate::dialect::Dialect;
use crate::migration::{ColumnPath, Directive, Migration, Section, Statement};
use crate::plan::Expr;
use crate::sql::{ColumnRef, Ident, Span, Sql, TableName};

/// One intention, with the statement that a message about it points to.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    /// The statement.
    pub(super) span: Span,
    /// Its number in the file, from one.
    pub(super) number: usize,
    /// What is intended.
    pub(super) kind: IntentKind,
    /// The changes it stands for, for the catalogue after it.
    pub(super) changes: Vec<ChangeKind>,
}

/// What is intended. Tables and columns bear their catalogue names.
#[derive(Clone, Debug)]
pub(super) enum IntentKind {
    /// A new table.
    CreateTable { table: TableName, references: Vec<TableName> },
    /// A statement about a table that this file creates.
    WithinNew,
    /// A new column, with what rows that exist get.
    AddColumn { table: TableName, column: NewColumn, fill: Option<RowFill> },
    /// A column that takes the place of another.
    Replace(Box<Replace>),
    /// A column that goes.
    DropColumn(ColumnRef),
    /// A column that becomes NOT NULL.
    SetNotNull { column: ColumnRef, fill: Option<RowFill> },
    /// A new index.
    CreateIndex(NewIndex),
    /// An index that goes.
    DropIndex { table: TableName, index: Ident },
    /// The author's own expand.
    Expand,
    /// The author's own backfill.
    Backfill { fill: Fill, key: Option<Ident> },
    /// The author's own contract.
    Contract { uses: Vec<ColumnRef> },
    /// A statement that is not understood.
    Opaque(String),
}

/// What rows get, as the author's UPDATE says.
#[derive(Clone, Debug)]
pub(super) struct RowFill {
    /// The value.
    pub(super) value: Expr,
    /// The author's WHERE.
    pub(super) condition: Option<Sql>,
}

/// A rename, or the three statements that amount to one.
#[derive(Clone, Debug)]
pub(super) struct Replace {
    /// The table.
    pub(super) table: TableName,
    /// The column that goes.
    pub(super) old: Ident,
    /// The column that comes.
    pub(super) new: Ident,
    /// Its definition; `None` for a rename, where it is that of the old one.
    pub(super) definition: Option<NewColumn>,
    /// Whether it must be NOT NULL in the end.
    pub(super) not_null: bool,
    /// New from old.
    pub(super) forward: Expr,
    /// Old from new.
    pub(super) reverse: Option<Expr>,
    /// Whether the author said that old readers need no new values.
    pub(super) no_sync: bool,
    /// The author's WHERE.
    pub(super) condition: Option<Sql>,
}

struct Found {
    statement: Statement,
    number: usize,
    change: Change,
    used: bool,
}

/// Reads a file's intentions, in the order of their first statements.
pub(super) fn read(
    migration: &Migration,
    catalog: &Catalog,
    dialect: &dyn Dialect,
) -> Result<Vec<Intent>, PlanError> {
    let mut found = Vec::new();
    for (at, statement) in migration.statements.iter().enumerate() {
        let kinds = dialect.interpret(&migration.source, statement.span);
        // A statement that is partly not understood is run as a whole or not at all.
        let opaque = kinds.iter().find(|kind| matches!(kind, ChangeKind::Opaque(_))).cloned();
        let kinds = match opaque {
            Some(kind) => vec![kind],
            None => kinds,
        };
        for kind in kinds {
            let change = Change { span: statement.span, kind };
            let statement = statement.clone();
            found.push(Found { statement, number: at + 1, change, used: false });
        }
    }
    let mut world = catalog.clone();
    let mut reader = Reader { migration, created: BTreeSet::new(), found };
    let mut intents: Vec<Intent> = Vec::new();
    for at in 0..reader.found.len() {
        if reader.found[at].used {
            continue;
        }
        let span = reader.found[at].change.span;
        let unknown = |source: EvolveError| PlanError::Unknown { span, source };
        let intent = reader.intent(at, &world)?;
        if matches!(intent.kind, IntentKind::WithinNew | IntentKind::Expand)
            && intents.last().is_some_and(|last| last.span == span)
        {
            // One statement with several changes that is run as it stands.
            continue;
        }
        for change in &intent.changes {
            world = world.after(change).map_err(unknown)?;
        }
        intents.push(intent);
    }
    Ok(intents)
}

struct Reader<'a> {
    migration: &'a Migration,
    created: BTreeSet<TableName>,
    found: Vec<Found>,
}

impl Reader<'_> {
    fn intent(&mut self, at: usize, world: &Catalog) -> Result<Intent, PlanError> {
        let span = self.found[at].change.span;
        let number = self.found[at].number;
        self.found[at].used = true;
        let change = self.found[at].change.kind.clone();
        let unknown = |source: EvolveError| PlanError::Unknown { span, source };
        if let Some(section) = self.found[at].statement.section.clone() {
            let kind = Self::in_section(&section, &change, world, span)?;
            let changes = vec![change];
            return Ok(Intent { span, number, kind, changes });
        }
        let mut changes = vec![change.clone()];
        let name = change.table().map(|table| world.placed(table));
        if let Some(name) = name.filter(|name| self.created.contains(name)) {
            let written = TableName { schema: name.schema, name: name.name };
            if !matches!(change, ChangeKind::CreateTable { .. }) {
                world.require(&written).map_err(unknown)?;
                return Ok(Intent { span, number, kind: IntentKind::WithinNew, changes });
            }
        }
        let kind = match change {
            // The table is there, so the statement does nothing, and neither must its undo.
            ChangeKind::CreateTable { table, if_not_exists: true, .. }
                if world.find(&table).is_some() =>
            {
                IntentKind::WithinNew
            }
            ChangeKind::CreateTable { table, references, .. } => {
                let table = world.placed(&table);
                self.created.insert(table.clone());
                let full = |name: &TableName| {
                    world.find(name).map_or_else(|| world.placed(name), |one| one.name.clone())
                };
                let references = references.iter().map(full).collect();
                IntentKind::CreateTable { table, references }
            }
            ChangeKind::AddColumn { table, column } => {
                let table = world.require(&table).map_err(unknown)?;
                self.add_column(table, column, world, &mut changes)
            }
            ChangeKind::RenameColumn { column, to } => {
                let table = world.require(&column.table).map_err(unknown)?;
                let old = world.require_column(table, &column.column).map_err(unknown)?;
                IntentKind::Replace(Box::new(Replace {
                    table: table.name.clone(),
                    old: old.name.clone(),
                    new: to.clone(),
                    definition: None,
                    not_null: !old.nullable,
                    forward: Expr::Column(old.name.clone()),
                    reverse: Some(Expr::Column(to)),
                    no_sync: false,
                    condition: None,
                }))
            }
            ChangeKind::DropColumn(column) => {
                let table = world.require(&column.table).map_err(unknown)?;
                let column = world.require_column(table, &column.column).map_err(unknown)?;
                IntentKind::DropColumn(ColumnRef::new(&table.name, &column.name))
            }
            ChangeKind::SetNotNull(column) => {
                let table = world.require(&column.table).map_err(unknown)?;
                let found = world.require_column(table, &column.column).map_err(unknown)?;
                let column = ColumnRef::new(&table.name, &found.name);
                IntentKind::SetNotNull { column, fill: None }
            }
            ChangeKind::CreateIndex(index) => IntentKind::CreateIndex(index),
            ChangeKind::DropIndex(index) => {
                let missing = || EvolveError::NoIndex { index: index.clone() };
                let (table, found) = world.index(&index).ok_or_else(|| unknown(missing()))?;
                IntentKind::DropIndex { table: table.name.clone(), index: found.name.clone() }
            }
            ChangeKind::Fill(fill) => self.lone_fill(at, &fill, world, &mut changes)?,
            ChangeKind::Opaque(why) => IntentKind::Opaque(why),
        };
        Ok(Intent { span, number, kind, changes })
    }

    fn in_section(
        section: &Section,
        change: &ChangeKind,
        world: &Catalog,
        span: Span,
    ) -> Result<IntentKind, PlanError> {
        let refused = |what: &str, remedy: &str| PlanError::Refused {
            span,
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        };
        match section {
            Section::Expand => Ok(IntentKind::Expand),
            Section::Contract { uses } => {
                if uses.is_empty() {
                    return Err(refused(
                        "this section does not say what it takes away, so the gate would not \
                         know what to ask about",
                        "write `-- zdmig:contract uses=table.column`",
                    ));
                }
                let uses = uses.iter().map(|path| column_of(path, world, span));
                Ok(IntentKind::Contract { uses: uses.collect::<Result<_, _>>()? })
            }
            Section::Backfill { key, .. } => match change {
                ChangeKind::Fill(fill) if fill.whole.is_none() => {
                    Ok(IntentKind::Backfill { fill: fill.clone(), key: key.clone() })
                }
                ChangeKind::Fill(fill) => Err(refused(
                    &format!(
                        "this UPDATE cannot be cut into chunks: {}",
                        fill.whole.as_deref().unwrap_or_default()
                    ),
                    "write it as `UPDATE table SET column = expression WHERE condition`, with \
                     subqueries where other tables are needed",
                )),
                _ => Err(refused(
                    "only an UPDATE can stand under `-- zdmig:backfill`",
                    "put other statements under `-- zdmig:expand` or `-- zdmig:contract`",
                )),
            },
        }
    }

    fn add_column(
        &mut self,
        table: &Table,
        column: NewColumn,
        world: &Catalog,
        changes: &mut Vec<ChangeKind>,
    ) -> IntentKind {
        let name = table.name.clone();
        let fill = self.take_fill(table, &column.name, world);
        let Some((fill, mentions)) = fill else {
            let mut column = column;
            column.not_null |= self.take_not_null(&name, &column.name, world);
            return IntentKind::AddColumn { table: name, column, fill: None };
        };
        let not_null = self.take_not_null(&name, &column.name, world) || column.not_null;
        let mut column = column;
        column.not_null = not_null;
        let Some(old) = self.take_drop(table, &mentions, world) else {
            return IntentKind::AddColumn { table: name, column, fill: Some(fill) };
        };
        changes.push(ChangeKind::DropColumn(ColumnRef::new(&name, &old)));
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
        world: &Catalog,
    ) -> Option<(RowFill, BTreeSet<Ident>)> {
        let source = self.migration.source.clone();
        let found = self.found.iter_mut().find(|found| {
            let ChangeKind::Fill(fill) = &found.change.kind else { return false };
            !found.used
                && found.statement.section.is_none()
                && fill.whole.is_none()
                && fill.set.len() == 1
                && world.find(&fill.table).is_some_and(|one| one.name == table.name)
                && same(world, &fill.set[0].0, column)
        })?;
        found.used = true;
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
                let ChangeKind::DropColumn(column) = &found.change.kind else { return None };
                let here = world.find(&column.table).is_some_and(|one| one.name == table.name);
                let known = world.column(table, &column.column)?.name.clone();
                (!found.used && found.statement.section.is_none() && here).then_some((at, known))
            })
            .filter(|(_, name)| mentions.contains(name))
            .collect();
        // Two columns merged into one are two drops: not one change.
        let [(at, name)] = drops.as_slice() else { return None };
        self.found[*at].used = true;
        Some(name.clone())
    }

    fn take_not_null(&mut self, table: &TableName, column: &Ident, world: &Catalog) -> bool {
        let found = self.found.iter_mut().find(|found| {
            matches!(&found.change.kind, ChangeKind::SetNotNull(one)
                if world.find(&one.table).is_some_and(|found| found.name == *table)
                    && same(world, &one.column, column))
                && !found.used
                && found.statement.section.is_none()
        });
        found.map(|found| found.used = true).is_some()
    }

    /// How the old column follows from the new one, and whether the author waived it.
    fn reverse(
        &self,
        table: &TableName,
        old: &Ident,
        new: &Ident,
        forward: &Expr,
    ) -> (Option<Expr>, bool) {
        let about = |path: &ColumnPath| {
            let mut parts = path.0.iter().rev();
            let column = parts.next();
            let here = parts.next().is_none_or(|one| *one == table.name);
            here && column.is_some_and(|one| one == old || one == new)
        };
        for directive in &self.migration.directives {
            match directive {
                Directive::Reverse { column, expression } if about(column) => {
                    return (Some(Expr::Verbatim(Sql::new(expression.as_str()))), false);
                }
                Directive::NoSync { column, .. } if about(column) => return (None, true),
                _ => {}
            }
        }
        let identity = matches!(forward, Expr::Column(name) if name == old);
        (identity.then(|| Expr::Column(new.clone())), false)
    }

    fn lone_fill(
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
        let why = fill.whole.clone().unwrap_or_else(|| {
            "an UPDATE of a table that exists would lock every row it touches until the end; \
             under `-- zdmig:backfill` it is run in chunks"
                .into()
        });
        Ok(IntentKind::Opaque(why))
    }
}

fn same(world: &Catalog, a: &Ident, b: &Ident) -> bool {
    a == b || world.case_insensitive && a.as_str().eq_ignore_ascii_case(b.as_str())
}

/// Whether a condition is `column IS NULL` and nothing else: rows that hold a value must not
/// be changed by what only fills NULLs, and no row that the author means must be left out.
fn asks_for_null(condition: &str, column: &Ident) -> bool {
    let bare = condition.replace(['(', ')', '"'], " ").to_lowercase();
    let words: Vec<_> = bare.split_whitespace().collect();
    let name = column.as_str().to_lowercase();
    words == [name.as_str(), "is", "null"]
}

/// Whether a name stands in a text as a word of its own.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(&name)
        .any(|(at, _)| !text[..at].ends_with(word) && !text[at + name.len()..].starts_with(word))
}

fn column_of(path: &ColumnPath, world: &Catalog, span: Span) -> Result<ColumnRef, PlanError> {
    let unknown = |source: EvolveError| PlanError::Unknown { span, source };
    let mut parts = path.0.clone();
    let (Some(column), Some(name)) = (parts.pop(), parts.pop()) else {
        return Err(PlanError::Refused {
            span,
            what: "`uses=` names no column".into(),
            remedy: "write `uses=table.column`".into(),
        });
    };
    let table = world.require(&TableName { schema: parts.pop(), name }).map_err(unknown)?;
    let column = world.require_column(table, &column).map_err(unknown)?;
    Ok(ColumnRef::new(&table.name, &column.name))
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

    #[test]
    fn a_name_is_found_as_a_word_only() {
        assert!(mentions("lower(username)", "username"));
        assert!(mentions("\"User Name\" || 'x'", "User Name"));
        assert!(!mentions("usernames", "username"));
    }
}
