use super::{fill, quote, sync};
use crate::catalog::{Catalog, Table};
use crate::dialect::Unsupported;
use crate::plan::{
    Action, AddColumn, Blocks, Check, DropColumn, Expect, Held, IndexBuild, Lock, Lowered, Retire,
    RetireWay, Sync, TakenOver, Transaction, Undo, Verbatim,
};
use crate::sql::{Ident, Sql, TableName};

/// Puts an action into words.
pub(super) fn lower(action: &Action, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    match action {
        Action::Verbatim(one) => Ok(verbatim(one)),
        Action::AddColumn(one) => Ok(add_column(one)),
        Action::InstallSync(one) => install_sync(one, catalog),
        Action::RemoveSync(one) => remove_sync(one, catalog),
        Action::Backfill(rows) => Ok(fill::backfill(rows)),
        Action::Verify(verify) => Ok(fill::verify(verify)),
        Action::BuildIndex(index) => build_index(index),
        Action::DropIndex(index) => drop_index(index),
        Action::Retire(retire) => Ok(self::retire(retire)),
        Action::DropColumn(drop) => drop_column(drop),
        Action::Analyze(one) => {
            Err(in_place(&one.table.to_string(), "gather statistics of columns"))
        }
        Action::DropNotNull(one) => Err(in_place(&one.column.to_string(), "DROP NOT NULL")),
        Action::AddNotNullCheck(check)
        | Action::ValidateNotNull(check)
        | Action::SetNotNull(check)
        | Action::DropNotNullCheck(check) => {
            Err(in_place(&check.column.to_string(), "SET NOT NULL"))
        }
        Action::AttachConstraint(one) | Action::ValidateConstraint(one) => {
            Err(in_place(&one.table.to_string(), "ADD CONSTRAINT"))
        }
        Action::AddCounted(one)
        | Action::MakeIdentity(crate::plan::MakeIdentity { counted: one, .. }) => {
            Err(in_place(&one.add.table.to_string(), "add a counted column"))
        }
        Action::JoinIndexes(one) => Err(in_place(&one.table.to_string(), "partition")),
        Action::RetireType(one) | Action::DropType(one) => {
            Err(in_place(&one.name.to_string(), "drop a type"))
        }
        Action::AttachPartition(one) => Err(in_place(&one.table.to_string(), "partition")),
        Action::AttachIndex(one) => Err(in_place(&one.table.to_string(), "ADD CONSTRAINT")),
        Action::DropConstraint(one) => Err(in_place(&one.table.to_string(), "DROP CONSTRAINT")),
        Action::SetDefault(one) => Err(in_place(&one.column.to_string(), "change a default")),
        Action::RenameTable(one) | Action::DropAlias(one) => {
            Err(in_place(&one.from.to_string(), "put a view for a renamed table"))
        }
        Action::AliasColumn(one) | Action::DropColumnAlias(one) => {
            Err(in_place(&one.column.to_string(), "put a view for a renamed column"))
        }
        Action::Tighten(sync) => Err(in_place(&sync.table.to_string(), "change a type")),
        Action::Swap(one) | Action::DropSwapped(one) => {
            Err(in_place(&one.sync.table.to_string(), "change a type"))
        }
        Action::RetireTables(one) | Action::DropTables(one) => {
            let name = one.tables.first().map(|(table, _)| table.to_string()).unwrap_or_default();
            Err(in_place(&name, "drop a table"))
        }
    }
}

fn in_place(object: &str, form: &str) -> Unsupported {
    Unsupported {
        what: format!("SQLite cannot {form} on `{object}` without writing the table anew"),
        remedy: "rebuild the table in a maintenance window, or keep the rule with a trigger \
                 that you write under `-- zdmig:expand`"
            .into(),
    }
}

/// The one writer's lock on the file.
fn writer(held: Held) -> Lock {
    Lock {
        object: "the database file".into(),
        mode: "RESERVED".into(),
        blocks: Blocks::Writes,
        held,
    }
}

pub(super) fn reader() -> Lock {
    Lock {
        object: "the database file".into(),
        mode: "SHARED".into(),
        blocks: Blocks::Nobody,
        held: Held::WhileScanning,
    }
}

pub(super) fn step(sql: Vec<String>, held: Held, landed: Check, undo: Undo) -> Lowered {
    Lowered {
        sql: sql.into_iter().map(Sql::new).collect(),
        transaction: Transaction::WithJournal,
        locks: vec![writer(held)],
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
    format!("ALTER TABLE {}", quote::ident(&table.name))
}

fn column_is(table: &TableName, column: &Ident, expect: Expect) -> Check {
    asks(
        format!(
            "SELECT 1 FROM pragma_table_info({}) WHERE name = {}",
            quote::literal(table.name.as_str()),
            quote::literal(column.as_str())
        ),
        expect,
    )
}

fn object_is(kind: &str, name: &str, expect: Expect) -> Check {
    asks(
        format!(
            "SELECT 1 FROM sqlite_schema WHERE type = '{kind}' AND name = {}",
            quote::literal(name)
        ),
        expect,
    )
}

fn verbatim(one: &Verbatim) -> Lowered {
    let (landed, undo) = match &one.creates {
        Some(table) => (
            object_is("table", table.name.as_str(), Expect::Rows),
            run(format!("DROP TABLE IF EXISTS {}", quote::ident(&table.name))),
        ),
        None if one.within_new => (asks(String::new(), Expect::Journal), Undo::Nothing),
        None => (asks(String::new(), Expect::Journal), Undo::Impossible),
    };
    let mut lowered =
        step(one.sql.iter().map(ToString::to_string).collect(), Held::Instant, landed, undo);
    lowered.note = as_written(one);
    lowered
}

/// What a reader must know of a statement that we do not take apart.
fn as_written(one: &Verbatim) -> Option<String> {
    let known = one.creates.is_some() || one.within_new;
    (!known).then(|| "run as written: zdmig does not know what it locks, or for how long".into())
}

fn add_column(add: &AddColumn) -> Lowered {
    let column = &add.column;
    let name = quote::ident(&column.name);
    let mut clause = format!("{name} {}", column.type_name).trim_end().to_owned();
    if !column.nullable {
        clause.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default {
        clause.push_str(&format!(" DEFAULT {}", default.sql));
    }
    if let Some(collation) = &column.collation {
        clause.push_str(&format!(" COLLATE {collation}"));
    }
    step(
        vec![format!("{} ADD COLUMN {clause}", alter(&add.table))],
        Held::Instant,
        column_is(&add.table, &column.name, Expect::Rows),
        run(format!("{} DROP COLUMN {name}", alter(&add.table))),
    )
}

fn known<'a>(catalog: &'a Catalog, table: &TableName) -> Result<&'a Table, Unsupported> {
    catalog.find(table).filter(|table| !table.key.is_empty()).ok_or_else(|| Unsupported {
        what: format!("table `{table}` has no key by which a trigger could find the row"),
        remedy: "give it a primary key".into(),
    })
}

fn install_sync(one: &Sync, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    let table = known(catalog, &one.table)?;
    let names = sync::names(one);
    let literals: Vec<_> =
        names.iter().map(|name| quote::literal(name.trim_matches('"'))).collect();
    let landed = asks(
        format!(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name IN ({}) \
             HAVING count(*) = {}",
            literals.join(", "),
            names.len()
        ),
        Expect::Rows,
    );
    Ok(Lowered {
        sql: sync::create(one, table),
        transaction: Transaction::WithJournal,
        locks: vec![writer(Held::Instant)],
        landed,
        undo: Undo::Run(sync::remove(one)),
        clear: None,
        note: None,
    })
}

fn remove_sync(one: &Sync, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    let installed = install_sync(one, catalog)?;
    Ok(Lowered {
        sql: sync::remove(one),
        landed: Check { expect: Expect::NoRows, ..installed.landed.clone() },
        undo: Undo::Run(installed.sql.clone()),
        ..installed
    })
}

/// An index's definition under another name and for another column. What SQLite keeps is
/// the author's text, so it is read by its tokens.
fn index_definition(index: &IndexBuild) -> Result<String, Unsupported> {
    let text = index.definition.as_str();
    if index.renamed.is_empty() {
        return Ok(text.to_owned());
    }
    let cannot = || Unsupported {
        what: format!("the definition of index `{}` cannot be carried over", index.name),
        remedy: "drop the index first and create it again after the change".into(),
    };
    let lexemes = super::split::lex(text).map_err(|_| cannot())?;
    let words: Vec<_> = lexemes.iter().filter(|one| !one.is_blank()).collect();
    let on = words
        .iter()
        .position(|one| one.keyword() == sqlparser::keywords::Keyword::ON)
        .ok_or_else(cannot)?;
    let unique = if index.unique { "UNIQUE " } else { "" };
    let mut out = format!(
        "CREATE {unique}INDEX {} ON {} ",
        quote::ident(&index.name),
        quote::ident(&index.table.name)
    );
    let body = words.get(on + 2).ok_or_else(cannot)?.span.start;
    let mut last = body as usize;
    for (at, word) in words.iter().enumerate().skip(on + 2) {
        let sqlparser::tokenizer::Token::Word(name) = &word.token else { continue };
        let called =
            words.get(at + 1).is_some_and(|next| next.token == sqlparser::tokenizer::Token::LParen);
        let same = |(from, _): &&(Ident, Ident)| name.value.eq_ignore_ascii_case(from.as_str());
        if let Some((_, to)) = index.renamed.iter().find(same).filter(|_| !called) {
            out.push_str(&text[last..word.span.start as usize]);
            out.push_str(&quote::ident(to));
            last = word.span.end as usize;
        }
    }
    out.push_str(&text[last..]);
    Ok(out)
}

fn build_index(index: &IndexBuild) -> Result<Lowered, Unsupported> {
    Ok(step(
        vec![index_definition(index)?],
        Held::WhileRewriting,
        object_is("index", index.name.as_str(), Expect::Rows),
        run(format!("DROP INDEX IF EXISTS {}", quote::ident(&index.name))),
    ))
}

fn drop_index(index: &IndexBuild) -> Result<Lowered, Unsupported> {
    if index.definition.as_str().is_empty() {
        return Err(Unsupported {
            what: format!("index `{}` belongs to a constraint", index.name),
            remedy: "rebuild the table without the constraint in a maintenance window".into(),
        });
    }
    Ok(step(
        vec![format!("DROP INDEX IF EXISTS {}", quote::ident(&index.name))],
        Held::Instant,
        object_is("index", index.name.as_str(), Expect::NoRows),
        run(index.definition.to_string()),
    ))
}

fn retired_name(column: &Ident, way: &RetireWay) -> Ident {
    match way {
        RetireWay::Privileges => column.clone(),
        RetireWay::Rename(name) => name.clone(),
    }
}

fn retire(one: &Retire) -> Lowered {
    let table = &one.column.table;
    let tombstone = retired_name(&one.column.column, &one.way);
    let (old, new) = (quote::ident(&one.column.column), quote::ident(&tombstone));
    let mut lowered = step(
        vec![format!("{} RENAME COLUMN {old} TO {new}", alter(table))],
        Held::Instant,
        column_is(table, &tombstone, Expect::Rows),
        run(format!("{} RENAME COLUMN {new} TO {old}", alter(table))),
    );
    lowered.note = one
        .sync
        .is_some()
        .then(|| "the triggers follow the rename and keep the column current".into());
    lowered
}

fn drop_column(drop: &DropColumn) -> Result<Lowered, Unsupported> {
    let table = &drop.column.table;
    let gone = retired_name(&drop.column.column, &drop.way);
    let mut sql: Vec<String> = Vec::new();
    if let Some(one) = &drop.sync {
        sql.extend(sync::remove(one).iter().map(ToString::to_string));
    }
    sql.extend(
        drop.loses.iter().map(|name| format!("DROP INDEX IF EXISTS {}", quote::ident(name))),
    );
    sql.push(format!("{} DROP COLUMN {}", alter(table), quote::ident(&gone)));
    for one in &drop.renames {
        match one {
            TakenOver::Index { from, rebuilt, .. } => {
                sql.push(format!("DROP INDEX {}", quote::ident(from)));
                sql.push(index_definition(rebuilt)?);
            }
            TakenOver::UniqueConstraint { .. }
            | TakenOver::Constraint { .. }
            | TakenOver::Statistics { .. }
            | TakenOver::Default { .. } => {
                return Err(in_place(&table.to_string(), "ADD CONSTRAINT"));
            }
        }
    }
    let mut lowered =
        step(sql, Held::WhileRewriting, column_is(table, &gone, Expect::NoRows), Undo::Impossible);
    if !drop.loses.is_empty() {
        let names: Vec<_> = drop.loses.iter().map(Ident::as_str).collect();
        lowered.note = Some(format!("takes these with it: {}", names.join(", ")));
    }
    Ok(lowered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_carried_to_another_column() {
        let index = IndexBuild {
            table: TableName::new(None, "users"),
            name: Ident::new("zdmig_x"),
            definition: Sql::new(
                "CREATE UNIQUE INDEX users_u ON \"users\" (username COLLATE NOCASE DESC, \
                 username(1)) WHERE \"username\" <> 'username'",
            ),
            insert_at: None,
            renamed: vec![(Ident::new("username"), Ident::new("e mail"))],
            unique: true,
            online: true,
            on_part: false,
            second: false,
        };
        assert_eq!(
            index_definition(&index).expect("it can be carried"),
            "CREATE UNIQUE INDEX \"zdmig_x\" ON \"users\" (\"e mail\" COLLATE NOCASE DESC, \
             username(1)) WHERE \"e mail\" <> 'username'"
        );
    }
}
