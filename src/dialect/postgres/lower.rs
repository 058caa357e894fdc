use super::{fill, locks, quote, rewrite, sync};
use crate::catalog::Catalog;
use crate::dialect::Unsupported;
use crate::plan::{
    Action, AddColumn, Carried, Check, Clear, DropColumn, Expect, IndexBuild, Lock, Lowered,
    NotNullCheck, Retire, RetireWay, Sync, TakenOver, Transaction, Undo, Verbatim,
};
use crate::sql::{ColumnRef, Ident, Sql, TableName};

/// Puts an action into words.
pub(super) fn lower(action: &Action, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    match action {
        Action::Verbatim(one) => verbatim(one),
        Action::AddColumn(one) => Ok(add_column(one)),
        Action::DropNotNull(column) => Ok(drop_not_null(column)),
        Action::InstallSync(one) => Ok(install_sync(one, catalog)),
        Action::RemoveSync(one) => Ok(remove_sync(one, catalog)),
        Action::Backfill(rows) => Ok(fill::backfill(rows)),
        Action::Verify(verify) => Ok(fill::verify(verify)),
        Action::BuildIndex(index) => build_index(index),
        Action::DropIndex(index) => drop_index(index),
        Action::AddNotNullCheck(check) => Ok(add_not_null_check(check)),
        Action::ValidateNotNull(check) => Ok(validate(&check.column.table, &check.check, &[])),
        Action::SetNotNull(check) => Ok(set_not_null(check)),
        Action::DropNotNullCheck(check) => Ok(drop_not_null_check(check)),
        Action::AttachConstraint(one) => Ok(attach(one)),
        Action::ValidateConstraint(one) => Ok(validate(&one.table, &one.name, &one.references)),
        Action::Retire(retire) => Ok(self::retire(retire, catalog)),
        Action::DropColumn(drop) => Ok(drop_column(drop)),
    }
}

/// A step that commits together with its journal entry.
pub(super) fn step(sql: Vec<String>, locks: Vec<Lock>, landed: Check, undo: Undo) -> Lowered {
    Lowered {
        sql: sql.into_iter().map(Sql::new).collect(),
        transaction: Transaction::WithJournal,
        locks,
        landed,
        undo,
        clear: None,
        note: None,
    }
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

fn verbatim(one: &Verbatim) -> Result<Lowered, Unsupported> {
    let words = one.sql.as_str().to_uppercase();
    if words.split_whitespace().any(|word| word == "CONCURRENTLY" || word == "VACUUM") {
        return Err(Unsupported {
            what: "a statement that cannot run in a transaction stands in a section, where it \
                   could not be resumed after a crash"
                .into(),
            remedy: "take it out of the section: CREATE and DROP INDEX are run CONCURRENTLY \
                     by themselves"
                .into(),
        });
    }
    let (landed, undo) = match &one.creates {
        Some(table) => (
            asks(format!("SELECT 1 WHERE {} IS NOT NULL", regclass(table)), Expect::Rows),
            run(format!("DROP TABLE IF EXISTS {}", quote::table(table))),
        ),
        None if one.within_new => (asks(String::new(), Expect::Journal), Undo::Nothing),
        None => (asks(String::new(), Expect::Journal), Undo::Impossible),
    };
    let locks = one.references.iter().map(locks::share_row).collect();
    let mut lowered = step(vec![one.sql.to_string()], locks, landed, undo);
    lowered.note = as_written(one);
    Ok(lowered)
}

/// What a reader must know of a statement that we do not take apart.
fn as_written(one: &Verbatim) -> Option<String> {
    let known = one.creates.is_some() || one.within_new;
    (!known).then(|| "run as written: zdmig does not know what it locks, or for how long".into())
}

fn add_column(add: &AddColumn) -> Lowered {
    let table = &add.table;
    let name = quote::ident(&add.column.name);
    let mut clause = format!("{name} {}", add.column.type_name);
    if let Some(collation) = &add.column.collation {
        clause.push_str(&format!(" COLLATE {collation}"));
    }
    let default = add.column.default.as_ref().map(|default| default.sql.as_str());
    if let Some(default) = default.filter(|_| add.default_for_existing) {
        clause.push_str(&format!(" DEFAULT {default}"));
    }
    if !add.column.nullable {
        clause.push_str(" NOT NULL");
    }
    let mut sql = vec![format!("{} ADD COLUMN {clause}", alter(table))];
    if let Some(default) = default.filter(|_| !add.default_for_existing) {
        sql.push(format!("{} ALTER COLUMN {name} SET DEFAULT {default}", alter(table)));
    }
    if let Some(comment) = &add.column.comment {
        let comment = quote::literal(comment);
        sql.push(format!("COMMENT ON COLUMN {}.{name} IS {comment}", quote::table(table)));
    }
    for grant in add.grants() {
        let role = grant.role.as_ref().map_or_else(|| "PUBLIC".into(), quote::ident);
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        sql.push(format!(
            "GRANT {} ({name}) ON {} TO {role}{option}",
            grant.privilege,
            quote::table(table)
        ));
    }
    let column = ColumnRef::new(table, &add.column.name);
    step(
        sql,
        vec![locks::exclusive(table)],
        column_is(&column, "", Expect::Rows),
        run(format!("{} DROP COLUMN IF EXISTS {name}", alter(table))),
    )
}

fn drop_not_null(column: &ColumnRef) -> Lowered {
    let of = format!("{} ALTER COLUMN {}", alter(&column.table), quote::ident(&column.column));
    let mut lowered = step(
        vec![format!("{of} DROP NOT NULL")],
        vec![locks::exclusive(&column.table)],
        column_is(column, " AND NOT attnotnull", Expect::Rows),
        run(format!("{of} SET NOT NULL")),
    );
    lowered.note = Some("its undo reads the table under ACCESS EXCLUSIVE, and fails once new code has left the column out".into());
    lowered
}

fn install_sync(one: &Sync, catalog: &Catalog) -> Lowered {
    let mut sql = vec![sync::create_function(one, None, catalog)];
    let mut undo = sync::remove(one);
    let mut lock = locks::share_row(&one.table);
    if let Some((column, default)) = sync::computed_default(one) {
        let of = format!("{} ALTER COLUMN {}", alter(&one.table), quote::ident(&column.name));
        sql.push(Sql::new(format!("{of} DROP DEFAULT")));
        undo.insert(0, Sql::new(format!("{of} SET DEFAULT {default}")));
        lock = locks::exclusive(&one.table);
    }
    sql.push(sync::create_trigger(one));
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
        locks: vec![lock],
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
        locks: vec![locks::exclusive(&one.table)],
        landed: Check { expect: Expect::NoRows, ..installed.landed.clone() },
        undo: Undo::Run(installed.sql.clone()),
        ..installed
    }
}

fn index_name(index: &IndexBuild) -> String {
    quote::beside(&index.table, &index.name)
}

fn index_definition(index: &IndexBuild) -> Result<String, Unsupported> {
    if let Some(at) = index.insert_at {
        let (head, tail) = index.definition.as_str().split_at(at as usize);
        return Ok(format!("{head} CONCURRENTLY{tail}"));
    }
    if !index.definition.as_str().starts_with("CREATE") {
        return Ok(index.definition.to_string());
    }
    let renamed = index.renamed.as_ref().map(|(from, to)| (from, to));
    rewrite::index(index.definition.as_str(), &index.name, renamed).ok_or_else(|| Unsupported {
        what: format!("the definition of index `{}` cannot be carried over", index.name),
        remedy: "drop the index first and create it again after the change".into(),
    })
}

fn build_index(index: &IndexBuild) -> Result<Lowered, Unsupported> {
    let definition = if index.renamed.is_none() && index.insert_at.is_none() {
        index.definition.to_string()
    } else {
        index_definition(index)?
    };
    let name = index_name(index);
    let drop = Sql::new(format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"));
    let landed = asks(
        format!(
            "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass({}) AND indisvalid",
            quote::literal(&name)
        ),
        Expect::Rows,
    );
    let mut lowered = step(
        vec![definition],
        vec![locks::share_update(&index.table)],
        landed,
        Undo::Run(vec![drop]),
    );
    lowered.transaction = Transaction::Forbidden;
    lowered.clear = Some(invalid(&name));
    lowered.note = Some("waits for transactions that are open when it begins".into());
    Ok(lowered)
}

fn drop_index(index: &IndexBuild) -> Result<Lowered, Unsupported> {
    let name = index_name(index);
    let again = index_definition(index)?;
    let mut lowered = step(
        vec![format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")],
        vec![locks::share_update(&index.table)],
        asks(
            format!("SELECT 1 WHERE to_regclass({}) IS NULL", quote::literal(&name)),
            Expect::Rows,
        ),
        run(again),
    );
    lowered.transaction = Transaction::Forbidden;
    lowered.clear = Some(invalid(&name));
    Ok(lowered)
}

/// An index that an interrupted build left: it is never used, and costs every write.
fn invalid(name: &str) -> Clear {
    let left = format!(
        "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass({}) AND NOT indisvalid",
        quote::literal(name)
    );
    let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
    Clear { when: asks(left, Expect::Rows), sql: vec![Sql::new(drop)] }
}

fn add_not_null_check(check: &NotNullCheck) -> Lowered {
    let table = &check.column.table;
    let (column, name) = (quote::ident(&check.column.column), quote::ident(&check.check));
    step(
        vec![format!(
            "{} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID",
            alter(table)
        )],
        vec![locks::exclusive(table)],
        constraint_is(table, &check.check, ""),
        run(format!("{} DROP CONSTRAINT IF EXISTS {name}", alter(table))),
    )
}

fn validate(table: &TableName, name: &Ident, references: &[TableName]) -> Lowered {
    let mut locks = vec![locks::share_update(table)];
    locks.extend(references.iter().map(locks::row_share));
    step(
        vec![format!("{} VALIDATE CONSTRAINT {}", alter(table), quote::ident(name))],
        locks,
        constraint_is(table, name, " AND convalidated"),
        Undo::Nothing,
    )
}

fn set_not_null(check: &NotNullCheck) -> Lowered {
    let table = &check.column.table;
    let column = quote::ident(&check.column.column);
    let mut sql = vec![format!("{} ALTER COLUMN {column} SET NOT NULL", alter(table))];
    if check.goes_at_once {
        sql.push(format!("{} DROP CONSTRAINT {}", alter(table), quote::ident(&check.check)));
    }
    let mut lowered = step(
        sql,
        vec![locks::exclusive(table)],
        column_is(&check.column, " AND attnotnull", Expect::Rows),
        run(format!("{} ALTER COLUMN {column} DROP NOT NULL", alter(table))),
    );
    lowered.note = Some("no scan: the valid check proves it".into());
    lowered
}

fn drop_not_null_check(check: &NotNullCheck) -> Lowered {
    let table = &check.column.table;
    let name = quote::ident(&check.check);
    let mut sql = vec![format!("{} DROP CONSTRAINT {name}", alter(table))];
    if let Some(one) = &check.sync {
        sql.extend(sync::remove(one).iter().map(ToString::to_string));
    }
    let there = constraint_is(table, &check.check, "");
    let gone = Check { expect: Expect::NoRows, ..there };
    step(sql, vec![locks::exclusive(table)], gone, Undo::Impossible)
}

fn attach(one: &Carried) -> Lowered {
    let (from, to) = &one.renamed;
    let clause = rewrite::constraint(&one.definition, from, to);
    let clause = clause.trim_end_matches(" NOT VALID");
    let name = quote::ident(&one.name);
    let mut locks: Vec<_> = if one.references.is_empty() {
        vec![locks::exclusive(&one.table)]
    } else {
        vec![locks::share_row(&one.table)]
    };
    locks.extend(one.references.iter().map(locks::share_row));
    step(
        vec![format!("{} ADD CONSTRAINT {name} {clause} NOT VALID", alter(&one.table))],
        locks,
        constraint_is(&one.table, &one.name, ""),
        run(format!("{} DROP CONSTRAINT IF EXISTS {name}", alter(&one.table))),
    )
}

fn retired_name(column: &ColumnRef, way: &RetireWay) -> Ident {
    match way {
        RetireWay::Privileges => column.column.clone(),
        RetireWay::Rename(name) => name.clone(),
    }
}

fn retire(one: &Retire, catalog: &Catalog) -> Lowered {
    let table = &one.column.table;
    let arguments = format!(
        "({}, {})",
        quote::literal(&quote::table(table)),
        quote::literal(one.column.column.as_str())
    );
    match &one.way {
        RetireWay::Privileges => {
            let mut lowered = step(
                vec![format!("SELECT zdmig.retire_column{arguments}")],
                Vec::new(),
                asks(
                    format!(
                        "SELECT 1 FROM zdmig.retired WHERE relation = {} AND column_name = {}",
                        quote::literal(&quote::table(table)),
                        quote::literal(one.column.column.as_str())
                    ),
                    Expect::Rows,
                ),
                run(format!("SELECT zdmig.restore_column{arguments}")),
            );
            let current = if one.sync.is_some() { "; the triggers keep it current" } else { "" };
            lowered.note = Some(format!(
                "revokes every privilege on the column and keeps all others; takes no lock on the \
                 table{current}; until purge no column can be added to the table"
            ));
            lowered
        }
        RetireWay::Rename(tombstone) => {
            let (old, new) = (quote::ident(&one.column.column), quote::ident(tombstone));
            let mut sql = vec![format!("{} RENAME COLUMN {old} TO {new}", alter(table))];
            let mut undo = vec![Sql::new(format!("{} RENAME COLUMN {new} TO {old}", alter(table)))];
            if let Some(one) = &one.sync {
                let function = sync::create_function(one, Some(tombstone), catalog);
                sql.push(function.to_string());
                undo.push(sync::create_function(one, None, catalog));
            }
            let mut lowered = step(
                sql,
                vec![locks::exclusive(table)],
                column_is(&ColumnRef::new(table, tombstone), "", Expect::Rows),
                Undo::Run(undo),
            );
            lowered.note = Some(
                "by a rename, because every role that logs in is a superuser and no privilege \
                 would stop it"
                    .into(),
            );
            lowered
        }
    }
}

fn drop_column(drop: &DropColumn) -> Lowered {
    let table = &drop.column.table;
    let gone = retired_name(&drop.column, &drop.way);
    let mut sql = vec![format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", quote::table(table))];
    if let Some(one) = &drop.sync {
        sql.push(sync::remove(one)[0].to_string());
    }
    if drop.way == RetireWay::Privileges {
        sql.push(format!(
            "SELECT zdmig.restore_column({}, {})",
            quote::literal(&quote::table(table)),
            quote::literal(drop.column.column.as_str())
        ));
    }
    sql.push(format!("{} DROP COLUMN {}", alter(table), quote::ident(&gone)));
    for one in &drop.renames {
        sql.push(match one {
            TakenOver::Index { from, to, .. } => {
                format!("ALTER INDEX {} RENAME TO {}", quote::beside(table, from), quote::ident(to))
            }
            TakenOver::UniqueConstraint { from, to } => format!(
                "{} ADD CONSTRAINT {} UNIQUE USING INDEX {}",
                alter(table),
                quote::ident(to),
                quote::ident(from)
            ),
            TakenOver::Constraint { from, to } => format!(
                "{} RENAME CONSTRAINT {} TO {}",
                alter(table),
                quote::ident(from),
                quote::ident(to)
            ),
            TakenOver::Default { column, default } => format!(
                "{} ALTER COLUMN {} SET DEFAULT {}",
                alter(table),
                quote::ident(column),
                default.sql
            ),
        });
    }
    if let Some(one) = &drop.sync {
        sql.push(sync::remove(one)[1].to_string());
    }
    let mut lowered = step(
        sql,
        vec![locks::exclusive(table)],
        column_is(&ColumnRef::new(table, &gone), "", Expect::NoRows),
        Undo::Impossible,
    );
    if !drop.loses.is_empty() {
        let names: Vec<_> = drop.loses.iter().map(Ident::as_str).collect();
        lowered.note = Some(format!("takes these with it: {}", names.join(", ")));
    }
    lowered
}
