use std::collections::BTreeSet;

use sqlparser::ast::{ColumnOption, Statement, TableConstraint};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::bookkeeping::PREFIX;
use super::interpret::new_column;
use super::quote;
use super::session::wrap;
use super::split::lex;
use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, Default, Dependent, DependentKind, Index, Object,
    Server, Table, TableKind,
};
use crate::dialect::SessionError;
use crate::sql::{Ident, TableName};

type Read<T> = Result<T, SessionError>;

/// Reads the catalogue in one read transaction.
pub(super) async fn read(conn: &mut SqliteConnection) -> Read<Catalog> {
    run(conn, "BEGIN").await?;
    let catalog = read_snapshot(conn).await;
    run(conn, "ROLLBACK").await?;
    catalog
}

async fn run(conn: &mut SqliteConnection, sql: &'static str) -> Read<()> {
    sqlx::query(sql).execute(conn).await.map_err(wrap)?;
    Ok(())
}

async fn rows(conn: &mut SqliteConnection, sql: String) -> Read<Vec<SqliteRow>> {
    sqlx::query(AssertSqlSafe(sql)).fetch_all(conn).await.map_err(wrap)
}

pub(super) fn get<'r, T>(row: &'r SqliteRow, at: usize) -> Read<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(at).map_err(wrap)
}

/// The product and its version.
pub(super) async fn server(conn: &mut SqliteConnection) -> Read<Server> {
    let row = sqlx::query("SELECT sqlite_version()").fetch_one(conn).await.map_err(wrap)?;
    let version: String = get(&row, 0)?;
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Ok(Server { product: "SQLite".into(), version, number })
}

async fn read_snapshot(conn: &mut SqliteConnection) -> Read<Catalog> {
    let mut catalog = Catalog {
        objects: Vec::new(),
        held: Vec::new(),
        server: server(conn).await?,
        search_path: Vec::new(),
        tables: std::collections::BTreeMap::new(),
        case_insensitive: true,
    };
    let listed = "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'table' \
                  AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    for row in rows(conn, listed.to_owned()).await? {
        let (name, sql): (String, String) = (get(&row, 0)?, get(&row, 1)?);
        if !name.starts_with(PREFIX) {
            let table = read_table(conn, &name, &sql).await?;
            catalog.tables.insert(table.name.clone(), table);
        }
    }
    let views = "SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY name";
    for row in rows(conn, views.to_owned()).await? {
        catalog.objects.push(Object {
            kind: "view".into(),
            name: TableName::new(None, &get::<String>(&row, 0)?),
            on: None,
            arguments: None,
            definition: get(&row, 1)?,
            said: Vec::new(),
        });
    }
    read_dependents(conn, &mut catalog).await?;
    read_incoming(conn, &mut catalog).await?;
    Ok(catalog)
}

async fn read_table(conn: &mut SqliteConnection, name: &str, sql: &str) -> Read<Table> {
    let literal = quote::literal(name);
    let written = Written::of(sql);
    let mut table = Table {
        name: TableName::new(None, name),
        vague: false,
        kind: TableKind::Ordinary,
        partitions: Vec::new(),
        part_key: None,
        part_default: None,
        bound: None,
        columns: Vec::new(),
        key: Vec::new(),
        indexes: Vec::new(),
        constraints: written.constraints.clone(),
        dependents: Vec::new(),
        rows: 0,
        bytes: 0,
        guarded: false,
        grants: Vec::new(),
        comment: None,
        row_identity: None,
        settings: Vec::new(),
        marks: Vec::new(),
        triggers: Vec::new(),
        retired: Vec::new(),
    };
    let info = format!(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo({literal}) \
         ORDER BY cid"
    );
    let mut key = Vec::new();
    for row in rows(conn, info).await? {
        let name: String = get(&row, 0)?;
        let default: Option<String> = get(&row, 3)?;
        let position: i64 = get(&row, 4)?;
        let (collation, mut peculiar) = written.column(&name);
        if get::<i64>(&row, 5)? != 0 {
            peculiar.push("it is a generated column".into());
        }
        if position > 0 {
            key.push((position, Ident::new(name.clone())));
        }
        table.columns.push(Column {
            name: Ident::new(name),
            type_name: get(&row, 1)?,
            collation,
            nullable: get::<i64>(&row, 2)? == 0,
            default: default.map(|sql| Default { constant: quote::is_constant(&sql), sql }),
            comment: None,
            grants: Vec::new(),
            peculiar,
            settings: Vec::new(),
        });
    }
    key.sort();
    let key: Vec<_> = key.into_iter().map(|(_, name)| name).collect();
    if !key.is_empty() {
        table.constraints.push(Constraint {
            name: Ident::new(""),
            kind: ConstraintKind::Primary,
            columns: key.clone(),
            definition: "PRIMARY KEY".into(),
            references: None,
        });
    }
    // Every table but those WITHOUT ROWID can be walked along its row id.
    let has_rowid = !written.without_rowid
        && !table.columns.iter().any(|column| column.name.as_str().eq_ignore_ascii_case("rowid"));
    table.key = if has_rowid { vec![Ident::new("rowid")] } else { key };
    if has_rowid {
        let count =
            format!("SELECT coalesce(max(rowid), 0) FROM {}", quote::ident(&table.name.name));
        let row = rows(conn, count).await?;
        if let Some(row) = row.first() {
            table.rows = get::<i64>(row, 0)?.unsigned_abs();
        }
    }
    read_indexes(conn, &mut table).await?;
    Ok(table)
}

async fn read_indexes(conn: &mut SqliteConnection, table: &mut Table) -> Read<()> {
    let listed = format!(
        "SELECT l.name, l.\"unique\", l.origin, coalesce(s.sql, '') \
         FROM pragma_index_list({}) l LEFT JOIN sqlite_schema s ON s.name = l.name \
         ORDER BY l.name",
        quote::literal(table.name.name.as_str())
    );
    for row in rows(conn, listed).await? {
        let name: String = get(&row, 0)?;
        let definition: String = get(&row, 3)?;
        let origin: String = get(&row, 2)?;
        let parts = format!(
            "SELECT name FROM pragma_index_xinfo({}) WHERE key = 1 ORDER BY seqno",
            quote::literal(&name)
        );
        let mut keys = Vec::new();
        let mut plain = true;
        for part in rows(conn, parts).await? {
            match get::<Option<String>>(&part, 0)? {
                Some(column) => keys.push(Ident::new(column)),
                None => plain = false,
            }
        }
        let mut columns: BTreeSet<_> = keys.iter().cloned().collect();
        columns.extend(named(&definition, table));
        table.indexes.push(Index {
            constraint: (origin != "c").then(|| Ident::new(name.clone())),
            name: Ident::new(name),
            definition,
            unique: get::<i64>(&row, 1)? != 0,
            columns,
            keys: if plain { keys } else { Vec::new() },
            valid: true,
        });
    }
    Ok(())
}

/// The columns of a table whose names stand as words in a definition, after its head.
fn named(definition: &str, table: &Table) -> Vec<Ident> {
    let Ok(lexemes) = lex(definition) else {
        return table.columns.iter().map(|column| column.name.clone()).collect();
    };
    let words: Vec<_> = lexemes
        .iter()
        .filter_map(|one| match &one.token {
            Token::Word(word) => Some(word.value.to_lowercase()),
            _ => None,
        })
        .collect();
    let stands = |column: &&Column| words.contains(&column.name.as_str().to_lowercase());
    table.columns.iter().filter(stands).map(|column| column.name.clone()).collect()
}

async fn read_dependents(conn: &mut SqliteConnection, catalog: &mut Catalog) -> Read<()> {
    let listed = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema \
                  WHERE type IN ('view', 'trigger') ORDER BY type, name";
    for row in rows(conn, listed.to_owned()).await? {
        let (kind, name, sql): (String, String, String) =
            (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        if name.starts_with("zzz_zdmig_") {
            continue;
        }
        let words: Vec<_> = lex(&sql)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|one| match one.token {
                Token::Word(word) => Some(word.value.to_lowercase()),
                Token::Mul => Some("*".to_owned()),
                _ => None,
            })
            .collect();
        for table in catalog.tables.values_mut() {
            if !words.contains(&table.name.name.as_str().to_lowercase()) {
                continue;
            }
            let columns: BTreeSet<_> = table
                .columns
                .iter()
                .filter(|column| words.contains(&column.name.as_str().to_lowercase()))
                .map(|column| column.name.clone())
                .collect();
            let star = words.iter().any(|word| word == "*");
            if star || !columns.is_empty() {
                let columns = if star { BTreeSet::new() } else { columns };
                let what = format!("{kind} {name}");
                let kind = if kind == "view" { DependentKind::View } else { DependentKind::Other };
                let name = Ident::new(name.as_str());
                table.dependents.push(Dependent { what, kind, name, columns });
            }
        }
    }
    Ok(())
}

async fn read_incoming(conn: &mut SqliteConnection, catalog: &mut Catalog) -> Read<()> {
    let listed = "SELECT m.name, f.\"table\", f.\"to\" FROM sqlite_schema m, \
                  pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY 1, 2, 3";
    for row in rows(conn, listed.to_owned()).await? {
        let (from, to): (String, String) = (get(&row, 0)?, get(&row, 1)?);
        let column: Option<String> = get(&row, 2)?;
        let name = TableName::new(None, &to);
        let Some(full) = catalog.find(&name).map(|table| table.name.clone()) else { continue };
        let Some(table) = catalog.tables.get_mut(&full) else { continue };
        let columns = column.map(|name| vec![Ident::new(name)]).unwrap_or_default();
        table.constraints.push(Constraint {
            name: Ident::new(""),
            kind: ConstraintKind::Incoming,
            columns,
            definition: from,
            references: None,
        });
    }
    Ok(())
}

/// What only the text of CREATE TABLE says.
#[derive(Default)]
struct Written {
    columns: Vec<(String, Option<String>, Vec<String>)>,
    constraints: Vec<Constraint>,
    without_rowid: bool,
}

impl Written {
    fn of(sql: &str) -> Self {
        let parsed = Parser::parse_sql(&SQLiteDialect {}, sql).unwrap_or_default().pop();
        let Some(Statement::CreateTable(create)) = parsed else { return Self::default() };
        let mut written = Self { without_rowid: create.without_rowid, ..Self::default() };
        for definition in &create.columns {
            let column = new_column(definition);
            let mut peculiar = Vec::new();
            for option in &definition.options {
                let kind = match &option.option {
                    ColumnOption::Unique(_) => ConstraintKind::Unique,
                    ColumnOption::Check(_) => ConstraintKind::Check,
                    ColumnOption::ForeignKey(_) => ConstraintKind::Foreign,
                    ColumnOption::PrimaryKey(_)
                    | ColumnOption::NotNull
                    | ColumnOption::Null
                    | ColumnOption::Default(_)
                    | ColumnOption::Collation(_) => continue,
                    other => {
                        peculiar.push(format!("it has `{other}`"));
                        continue;
                    }
                };
                written.constraints.push(Constraint {
                    name: Ident::new(""),
                    kind,
                    columns: vec![column.name.clone()],
                    definition: option.option.to_string(),
                    references: None,
                });
            }
            let name = column.name.as_str().to_lowercase();
            written.columns.push((name, column.collation, peculiar));
        }
        for constraint in &create.constraints {
            written.constraints.push(table_constraint(constraint, &written.columns, &create));
        }
        written
    }

    fn column(&self, name: &str) -> (Option<String>, Vec<String>) {
        let name = name.to_lowercase();
        match self.columns.iter().find(|(one, ..)| *one == name) {
            Some((_, collation, peculiar)) => (collation.clone(), peculiar.clone()),
            // A column that was added later stands in the text too; one that does not was
            // written in a way that we cannot read.
            None => (None, vec!["its table's definition cannot be read".into()]),
        }
    }
}

fn table_constraint(
    constraint: &TableConstraint,
    columns: &[(String, Option<String>, Vec<String>)],
    create: &sqlparser::ast::CreateTable,
) -> Constraint {
    let definition = constraint.to_string();
    let kind = match constraint {
        TableConstraint::Unique(_) => ConstraintKind::Unique,
        TableConstraint::PrimaryKey(_) => ConstraintKind::Primary,
        TableConstraint::ForeignKey(_) => ConstraintKind::Foreign,
        _ => ConstraintKind::Check,
    };
    let words: Vec<_> = lex(&definition)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|one| match one.token {
            Token::Word(word) => Some(word.value.to_lowercase()),
            _ => None,
        })
        .collect();
    let names = create.columns.iter().zip(columns).filter(|(_, (name, ..))| words.contains(name));
    Constraint {
        name: Ident::new(""),
        kind,
        columns: names.map(|(column, _)| Ident::new(column.name.value.clone())).collect(),
        definition,
        references: None,
    }
}
