mod column;
mod constraint;
mod counted;
mod index;
mod retire;
mod swap;
mod table;
mod verbatim;

use super::{fill, locks, quote, rewrite, sync, undo};
use crate::catalog::{Catalog, Mark};
use crate::dialect::Unsupported;
use crate::plan::{Action, Check, Expect, Held, Lowered, Sync, Transaction, Undo, UndoStage};
use crate::sql::{ColumnRef, Ident, Sql, TableName};

pub(super) use counted::next_of;

/// Puts an action into words.
pub(super) fn lower(action: &Action, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    let mut lowered = worded(action, catalog)?;
    if lowered.locks.is_empty() {
        lowered.locks = locks::of(&lowered.sql, catalog);
    }
    if let Action::ValidateConstraint(one) = action {
        // The catalogue at hand may not know the constraint yet.
        for table in &one.references {
            let lock = locks::referenced(table, catalog);
            if lowered.locks.iter().all(|known| known.object != lock.object) {
                lowered.locks.push(lock);
            }
        }
    }
    if matches!(action, Action::SetNotNull(_) | Action::JoinIndexes(_) | Action::AttachPartition(_))
    {
        // The valid check proves it, or the parts are there, which the catalogue at hand does
        // not know yet.
        for lock in &mut lowered.locks {
            lock.held = Held::Instant;
        }
    }
    Ok(lowered)
}

fn worded(action: &Action, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    match action {
        Action::Verbatim(one) => verbatim::lower(one, catalog),
        Action::AddColumn(one) => Ok(column::add(one)),
        Action::AddCounted(one) => Ok(counted::add(one)),
        Action::MakeIdentity(one) => Ok(counted::make_identity(one)),
        Action::DropNotNull(one) => Ok(column::drop_not_null(one, catalog)),
        Action::InstallSync(one) => Ok(install_sync(one, catalog)),
        Action::RemoveSync(one) => Ok(remove_sync(one, catalog)),
        Action::Backfill(rows) => Ok(fill::backfill(rows, catalog)),
        Action::Verify(verify) => Ok(fill::verify(verify, catalog)),
        Action::Analyze(one) => Ok(fill::analyze(one)),
        Action::BuildIndex(index) => index::build(index),
        Action::DropIndex(index) => index::drop(index, catalog),
        Action::JoinIndexes(one) => Ok(index::join(one)),
        Action::AddNotNullCheck(check) => Ok(constraint::add_not_null_check(check)),
        Action::ValidateNotNull(check) => {
            Ok(constraint::validate(&check.column.table, &check.check))
        }
        Action::SetNotNull(check) => Ok(constraint::set_not_null(check, catalog)),
        Action::DropNotNullCheck(check) => Ok(constraint::drop_not_null_check(check)),
        Action::AttachConstraint(one) => Ok(constraint::attach(one)),
        Action::ValidateConstraint(one) => Ok(constraint::validate(&one.table, &one.name)),
        Action::Tighten(one) => Ok(swap::tighten(one, catalog)),
        Action::Swap(one) => swap::swap(one, catalog),
        Action::DropSwapped(one) => Ok(swap::drop_swapped(one)),
        Action::Retire(retire) => Ok(retire::retire(retire, catalog)),
        Action::SetDefault(one) => Ok(column::set_default(one)),
        Action::AttachPartition(one) => Ok(table::attach(one)),
        Action::AttachIndex(one) => Ok(constraint::attach_index(one, catalog)),
        Action::DropConstraint(one) => Ok(constraint::drop(one, catalog)),
        Action::RenameTable(one) => Ok(table::rename(one, catalog)),
        Action::DropAlias(one) => Ok(table::drop_alias(one, catalog)),
        Action::AliasColumn(one) => Ok(table::alias_column(one, catalog)),
        Action::DropColumnAlias(one) => Ok(table::drop_column_alias(one, catalog)),
        Action::RetireTables(one) => Ok(table::retire(one)),
        Action::DropTables(one) => Ok(table::drop(one, catalog)),
        Action::RetireType(one) => Ok(retire::retire_type(one)),
        Action::DropType(one) => Ok(retire::drop_type(one)),
        Action::DropColumn(drop) => retire::drop_column(drop, catalog),
    }
}

/// A step that commits together with its journal entry.
pub(super) fn step(sql: Vec<String>, landed: Check, undo: Undo) -> Lowered {
    Lowered {
        locks: Vec::new(),
        sql: sql.into_iter().map(Sql::new).collect(),
        transaction: Transaction::WithJournal,
        landed,
        undo,
        clear: None,
        note: None,
    }
}

/// A part of an undo that commits together with its journal entry.
fn committed(sql: impl IntoIterator<Item = String>) -> UndoStage {
    let sql = sql.into_iter().map(Sql::new).collect();
    UndoStage { sql, transaction: Transaction::WithJournal }
}

/// A part of an undo that the server runs in no transaction.
fn outside(sql: String) -> UndoStage {
    UndoStage { sql: vec![Sql::new(sql)], transaction: Transaction::Forbidden }
}

pub(super) fn asks(sql: String, expect: Expect) -> Check {
    Check { sql: Sql::new(sql), expect }
}

fn run(sql: String) -> Undo {
    Undo::Run(vec![Sql::new(sql)])
}

fn alter(table: &TableName) -> String {
    format!("ALTER TABLE {}", quote::table(table))
}

/// `to_regclass` of a table: NULL instead of an error when it is not there.
fn regclass(table: &TableName) -> String {
    format!("to_regclass({})", quote::literal(&quote::table(table)))
}

fn column_is(column: &ColumnRef, condition: &str, expect: Expect) -> Check {
    asks(
        format!(
            "SELECT 1 FROM pg_attribute WHERE attrelid = {} AND attname = {} AND NOT attisdropped{condition}",
            regclass(&column.table),
            quote::literal(column.column.as_str())
        ),
        expect,
    )
}

fn constraint_is(table: &TableName, name: &Ident, condition: &str) -> Check {
    asks(
        format!(
            "SELECT 1 FROM pg_constraint WHERE conrelid = {} AND conname = {}{condition}",
            regclass(table),
            quote::literal(name.as_str())
        ),
        Expect::Rows,
    )
}

/// What an index or a constraint has beside its definition, said again.
pub(super) fn mark(table: &TableName, mark: &Mark) -> Option<String> {
    match mark {
        Mark::IndexComment(name, text) => Some(format!(
            "COMMENT ON INDEX {} IS {}",
            quote::beside(table, name),
            quote::literal(text)
        )),
        Mark::ConstraintComment(name, text) => Some(format!(
            "COMMENT ON CONSTRAINT {} ON {} IS {}",
            quote::ident(name),
            quote::table(table),
            quote::literal(text)
        )),
        Mark::Clustered(name) => {
            Some(format!("{} CLUSTER ON {}", alter(table), quote::ident(name)))
        }
        Mark::Elsewhere(_) => None,
        Mark::Statistics(name, column, target) => Some(format!(
            "ALTER INDEX {} ALTER COLUMN {column} SET STATISTICS {target}",
            quote::beside(table, name)
        )),
    }
}

/// The same of an index or a constraint that the catalogue knows, and whether replicas tell rows
/// by it.
pub(super) fn marks(table: &TableName, name: &Ident, catalog: &Catalog) -> Vec<Sql> {
    let Some(known) = catalog.find(table) else { return Vec::new() };
    let marks = known.marks.iter().filter(|one| one.name() == name);
    let here = |words: &&String| {
        let index = words.strip_prefix("USING INDEX ");
        index.is_some_and(|index| index == name.as_str() || index == quote::ident(name))
    };
    let identity = known.row_identity.iter().filter(here);
    let identity = identity.map(|words| format!("{} REPLICA IDENTITY {words}", alter(table)));
    marks.filter_map(|one| mark(table, one)).chain(identity).map(Sql::new).collect()
}

fn install_sync(one: &Sync, catalog: &Catalog) -> Lowered {
    let mut sql = vec![sync::create_function(one, sync::Stage::Both, catalog)];
    let mut undo = sync::remove(one);
    for (column, default) in sync::computed_defaults(one) {
        let of = format!("{} ALTER COLUMN {}", alter(&one.table), quote::ident(&column.name));
        sql.push(Sql::new(format!("{of} DROP DEFAULT")));
        undo.insert(0, Sql::new(format!("{of} SET DEFAULT {default}")));
    }
    sql.push(sync::create_trigger(one, catalog));
    sql.extend(sync::tried(one, catalog));
    let landed = asks(
        format!(
            "SELECT 1 FROM pg_trigger WHERE tgrelid = {} AND tgname = {} AND tgenabled <> 'D'",
            regclass(&one.table),
            quote::literal(sync::trigger(one).as_str())
        ),
        Expect::Rows,
    );
    Lowered {
        sql,
        transaction: Transaction::WithJournal,
        locks: Vec::new(),
        landed,
        undo: Undo::Run(undo),
        clear: None,
        note: None,
    }
}

fn remove_sync(one: &Sync, catalog: &Catalog) -> Lowered {
    let installed = install_sync(one, catalog);
    Lowered {
        sql: sync::remove(one),
        locks: Vec::new(),
        landed: Check { expect: Expect::NoRows, ..installed.landed.clone() },
        undo: Undo::Run(installed.sql.clone()),
        ..installed
    }
}
