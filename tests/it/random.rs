//! Random tables and random changes: after all phases the schema and the rows are what the
//! plain statements make of them, and the way back leads back.
//!
//! `ZDMIG_RANDOM=n` makes n of them; a failure names the seed, and `ZDMIG_SEED=seed` runs that
//! one alone.

mod around;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use zdmig::migration::ColumnPath;
use zdmig::plan::Plan;
use zdmig::sql::Ident;

use crate::corpus::{differs, dump};
use crate::crash::{Journey, plan_of, watched};
use crate::support::Database;

/// Rolls the same for the same seed.
struct Dice(TestRng);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.0.next_u64() % n as u64).unwrap_or_default()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }
}

#[derive(Clone)]
struct Column {
    name: String,
    kind: &'static str,
    not_null: bool,
}

impl Column {
    /// Whether its values differ from row to row.
    fn distinct(&self) -> bool {
        !matches!(self.kind, "boolean" | "mood")
    }
}

struct Made {
    schema: String,
    table: String,
    columns: Vec<Column>,
    indexes: Vec<String>,
    constraints: Vec<String>,
    /// Whether there is a table whose rows point to it.
    kids: bool,
    /// What else stands around it.
    around: Vec<around::Thing>,
}

const NAMES: [&str; 12] = [
    "a",
    "name",
    "Order",
    "user",
    "two words",
    "q\"uote",
    "état",
    "select",
    "x1",
    "value_2",
    "NULL",
    "old",
];
const KINDS: [&str; 10] = [
    "integer",
    "bigint",
    "text",
    "varchar(40)",
    "numeric(10,2)",
    "boolean",
    "date",
    "smallint",
    "mood",
    "short",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn value(kind: &str, number: usize) -> String {
    match kind {
        "boolean" => number.is_multiple_of(2).to_string(),
        "date" => format!("(date '2026-01-01' + {number})"),
        "mood" => format!("'{}'", ["sad", "ok", "happy"][number % 3]),
        "text" | "varchar(40)" | "short" => format!("'{number}'"),
        _ => number.to_string(),
    }
}

fn table(dice: &mut Dice) -> Made {
    let name = dice.pick(&["t", "Users", "my table"]).to_owned();
    let mut left: Vec<&str> = NAMES.to_vec();
    let mut columns = Vec::new();
    for _ in 0..3 + dice.below(4) {
        let name = left.remove(dice.below(left.len())).to_owned();
        columns.push(Column { name, kind: dice.pick(&KINDS), not_null: dice.chance(40) });
    }
    let keyed = ["id int", "id bigserial", "id int GENERATED ALWAYS AS IDENTITY"];
    let key = dice.pick(&keyed);
    let mut parts = vec![format!("{key} PRIMARY KEY")];
    for (at, column) in columns.iter().enumerate() {
        let null = if column.not_null { " NOT NULL" } else { "" };
        let default = match dice.below(4) {
            0 => format!(" DEFAULT {}", value(column.kind, at)),
            _ => String::new(),
        };
        parts.push(format!("{} {}{default}{null}", quoted(&column.name), column.kind));
    }
    let mut schema =
        format!("{}CREATE TABLE {} ({});\n", around::TYPES, quoted(&name), parts.join(", "));
    let mut indexes = Vec::new();
    for number in 0..dice.below(4) {
        let column = dice.pick(&columns);
        let index = format!("ix {number}");
        let unique = if column.distinct() && dice.chance(40) { "UNIQUE " } else { "" };
        let (also, tail) = match dice.below(4) {
            0 => (", id DESC".to_owned(), String::new()),
            1 => (String::new(), format!(" WHERE {} IS NOT NULL", quoted(&column.name))),
            2 => (String::new(), " INCLUDE (id)".to_owned()),
            _ => (String::new(), String::new()),
        };
        schema.push_str(&format!(
            "CREATE {unique}INDEX {} ON {} ({}{also}){tail};\n",
            quoted(&index),
            quoted(&name),
            quoted(&column.name)
        ));
        indexes.push(index);
    }
    let mut constraints = Vec::new();
    for number in 0..dice.below(3) {
        let column = dice.pick(&columns);
        let constraint = format!("rule {number}");
        let clause = if column.distinct() && dice.chance(50) {
            format!("UNIQUE ({})", quoted(&column.name))
        } else {
            format!("CHECK ({0} IS NULL OR {0} IS NOT NULL)", quoted(&column.name))
        };
        schema.push_str(&format!(
            "ALTER TABLE {} ADD CONSTRAINT {} {clause};\n",
            quoted(&name),
            quoted(&constraint)
        ));
        constraints.push(constraint);
    }
    for number in 1..=6 + dice.below(20) {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        if key == "id int" {
            names.push("id".to_owned());
            values.push(number.to_string());
        }
        for column in &columns {
            let null = !column.not_null && dice.chance(20);
            names.push(quoted(&column.name));
            values.push(if null { "NULL".into() } else { value(column.kind, number) });
        }
        schema.push_str(&format!(
            "INSERT INTO {} ({}) VALUES ({});\n",
            quoted(&name),
            names.join(", "),
            values.join(", ")
        ));
    }
    let kids = dice.chance(30);
    if kids {
        schema.push_str(&format!(
            "CREATE TABLE kids (id int PRIMARY KEY, \"of\" int REFERENCES {}, \"Note\" text);\n\
             INSERT INTO kids SELECT g, g, 'n' || g FROM generate_series(1, 5) g;\n\
             CREATE INDEX kids_of ON kids (\"of\");\n",
            quoted(&name)
        ));
    }
    let around = around::things(dice);
    for thing in &around {
        schema.push_str(&around::create(*thing, &quoted(&name), &dice.pick(&columns)));
    }
    Made { schema, table: name, columns, indexes, constraints, kids, around }
}

/// A few changes that the plain statements can make, each of a column of its own.
fn changes(dice: &mut Dice, made: &Made) -> String {
    let table = quoted(&made.table);
    let mut left = made.columns.clone();
    let (mut indexes, mut constraints) = (made.indexes.clone(), made.constraints.clone());
    let mut around = made.around.clone();
    let mut sql = String::new();
    // What the next statement begins with, where it is one with the last.
    let mut open = false;
    for number in 0..=dice.below(3) {
        if left.is_empty() {
            break;
        }
        let column = left.remove(dice.below(left.len()));
        let name = quoted(&column.name);
        let action = match dice.below(14) {
            kind @ 0..=8 => action(dice, kind, &table, &column, number),
            9 if !constraints.is_empty() => {
                Some(format!("DROP CONSTRAINT {}", quoted(&constraints.swap_remove(0))))
            }
            _ => None,
        };
        let alone = action.as_ref().is_none_or(|one| one.starts_with("RENAME"));
        let joined = open && !alone && dice.chance(30);
        open = !alone;
        if joined {
            sql.truncate(sql.len() - 2);
            sql.push_str(&format!(", {};\n", action.unwrap_or_default()));
            continue;
        }
        sql.push_str(&match (action, dice.below(9)) {
            (Some(action), _) => format!("ALTER TABLE {table} {action};\n"),
            (None, 0) if !indexes.is_empty() => {
                format!("DROP INDEX {};\n", quoted(&indexes.swap_remove(0)))
            }
            (None, 1) => {
                let value = value(column.kind, 9);
                format!("UPDATE {table} SET {name} = {value} WHERE {name} IS NULL;\n")
            }
            (None, 2) => derived(dice, &made.table, &column, number),
            (None, 3) if made.kids => kids(dice, &table, number),
            (None, 4..=6) if !around.is_empty() => {
                let thing = around.swap_remove(dice.below(around.len()));
                around::change(dice, made, thing, &column, number)
            }
            (None, 7) if column.kind == "mood" => around::anew(&table, &column),
            (None, 5..=8) => around::beside(dice, &table, &column, number),
            (None, _) => format!("CREATE INDEX \"new ix {number}\" ON {table} ({name});\n"),
        });
    }
    if dice.chance(10) {
        sql.push_str(&format!("ALTER TABLE {table} RENAME TO \"Elsewhere\";\n"));
    }
    sql
}

/// What comes after ALTER TABLE.
fn action(
    dice: &mut Dice,
    kind: usize,
    table: &str,
    column: &Column,
    number: usize,
) -> Option<String> {
    let name = quoted(&column.name);
    let shown = table.replace('"', "");
    Some(match kind {
        0 => format!("RENAME COLUMN {name} TO {}", quoted(&format!("new {number}"))),
        1 => format!("DROP COLUMN {name}"),
        2 => format!("ADD COLUMN \"more {number}\" text NOT NULL DEFAULT 'it''s'"),
        3 => format!("ALTER COLUMN {name} TYPE text"),
        4 => match column.kind {
            "integer" | "smallint" => format!("ALTER COLUMN {name} TYPE bigint"),
            "text" => format!("ALTER COLUMN {name} TYPE integer USING {name}::integer"),
            _ => format!("ALTER COLUMN {name} DROP NOT NULL"),
        },
        5 => format!("ALTER COLUMN {name} SET DEFAULT {}", value(column.kind, 9)),
        6 => match dice.below(3) {
            0 => format!("ADD CONSTRAINT \"new rule {number}\" CHECK ({name} IS NULL OR id > 0)"),
            1 => format!("ADD CONSTRAINT \"{shown} rule {number}\" UNIQUE ({name})"),
            _ => format!("ALTER COLUMN {name} SET NOT NULL"),
        },
        7 => "ALTER COLUMN id TYPE bigint".into(),
        8 => format!("ALTER COLUMN {name} SET STATISTICS 40"),
        _ => return None,
    })
}

/// A column that takes the place of another, in three statements.
fn derived(dice: &mut Dice, table: &str, column: &Column, number: usize) -> String {
    let (named, name) = (quoted(table), quoted(&column.name));
    let path = ColumnPath::of(&Ident::new(table), &Ident::new(column.name.as_str()));
    let (kind, value, back) = match (column.kind, dice.below(3)) {
        ("text", 0) => ("text", format!("'<' || {name} || '>'"), "btrim(\"made\", '<>')"),
        ("integer", 0) => ("numeric", format!("{name} / 2.0"), "(\"made\" * 2)::integer"),
        (kind, 1) => (kind, name.clone(), ""),
        (_, _) => ("text", format!("{name}::text"), ""),
    };
    let made = format!("made {number}");
    let way = match back {
        "" => format!("-- zdmig:no-sync {path} because \"a test\"\n"),
        back => format!("-- zdmig:reverse {path} = {}\n", back.replace("made", &made)),
    };
    format!(
        "{way}ALTER TABLE {named} ADD COLUMN \"{made}\" {kind};\n\
         UPDATE {named} SET \"{made}\" = {value};\n\
         ALTER TABLE {named} DROP COLUMN {name};\n"
    )
}

/// Something about the table that points here.
fn kids(dice: &mut Dice, table: &str, number: usize) -> String {
    match dice.below(4) {
        0 => "ALTER TABLE kids ALTER COLUMN \"of\" TYPE bigint;\n".into(),
        1 => "ALTER TABLE kids DROP CONSTRAINT kids_of_fkey;\n".into(),
        2 => "ALTER TABLE kids RENAME COLUMN \"of\" TO parent;\n".into(),
        _ => format!(
            "ALTER TABLE kids ADD CONSTRAINT \"key {number}\" FOREIGN KEY (\"of\") REFERENCES \
             {table} (id) ON DELETE CASCADE;\n"
        ),
    }
}

/// Every row of every table, with its columns in the order of their names.
async fn rows(database: &Database) -> BTreeMap<String, Vec<Vec<Option<String>>>> {
    let catalog = database.catalog().await;
    let mut client = database.client().await;
    let mut found = BTreeMap::new();
    for table in catalog.tables.values() {
        let columns: BTreeSet<_> =
            table.columns.iter().map(|one| quoted(one.name.as_str())).collect();
        let shown: Vec<_> = columns.iter().map(|name| format!("{name}::text")).collect();
        let name = quoted(table.name.name.as_str());
        let query = format!("SELECT {0} FROM {name} ORDER BY {0}", shown.join(", "));
        found.insert(name, client.rows(&query, &[]).await.expect("rows"));
    }
    found
}

/// One case; whether it could be planned at all.
async fn one(seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let made = table(&mut dice);
    let sql = changes(&mut dice, &made);
    let said = format!("ZDMIG_SEED={seed}\n{}\n{sql}", made.schema);
    let database = Database::postgres("random").await;
    database.script(&made.schema).await;
    let plain = Database::postgres_like("plain", Some(&database)).await;
    if plain.client().await.script(&sql).await.is_err() {
        return false;
    }
    let plan: Plan = match plan_of(&database, &sql).await {
        Ok(plan) => plan,
        // A refusal names a reason, and nothing is changed.
        Err(error) => {
            assert!(!error.remedy().is_empty(), "{said}: {error}");
            return false;
        }
    };
    let (before, kept) = (dump(&database), rows(&database).await);
    let mut untold = Vec::new();
    let mut session = database.measuring().await;
    let journey = watched(&mut *session, &plan, Journey::Back, &mut untold).await;
    journey.unwrap_or_else(|error| panic!("{said}: there and back: {error}"));
    let after = dump(&database);
    assert!(after == before, "{said}\n{}\n{}", differs(&after, &before), differs(&before, &after));
    // What an UPDATE or a DELETE did to the rows stays.
    let changes = |line: &str| line.starts_with("UPDATE") || line.starts_with("DELETE");
    let fills = sql.lines().any(|line| changes(line) && line.contains("WHERE"));
    assert!(fills || rows(&database).await == kept, "{said}: rows are not as they were");
    let fresh = Database::postgres("forward").await;
    fresh.script(&made.schema).await;
    let mut session = fresh.measuring().await;
    let journey = watched(&mut *session, &plan, Journey::Forward, &mut untold).await;
    journey.unwrap_or_else(|error| panic!("{said}: {error}"));
    let (found, expected) = (dump(&fresh), dump(&plain));
    let (more, less) = (differs(&found, &expected), differs(&expected, &found));
    assert!(more.is_empty() && less.is_empty(), "{said}\nmore:\n{more}\nless:\n{less}");
    assert_eq!(rows(&fresh).await, rows(&plain).await, "{said}");
    assert_eq!(fresh.leftovers().await, Vec::<String>::new(), "{said}");
    assert!(untold.is_empty(), "{said}\n{}", untold.join("\n"));
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn random_changes_make_what_plain_statements_make() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("ZDMIG_SEED") {
        assert!(one(seed).await, "it is refused");
        return;
    }
    let wanted = number("ZDMIG_RANDOM").unwrap_or(30);
    let first = number("ZDMIG_RANDOM_FROM").unwrap_or(1);
    let seeds: Vec<u64> = (first..first + wanted).collect();
    let (mut done, mut failed) = (0, BTreeSet::new());
    for some in seeds.chunks(4) {
        let running: Vec<_> = some.iter().map(|seed| (*seed, tokio::spawn(one(*seed)))).collect();
        for (seed, run) in running {
            match run.await {
                Ok(ran) => done += u64::from(ran),
                Err(_) => {
                    failed.insert(seed);
                }
            }
        }
    }
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
    assert!(done * 2 > wanted, "only {done} of {wanted} could be run");
}
