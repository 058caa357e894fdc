//! Random tables and random changes: after all phases the schema is what the plain statements
//! make of it, every row is there, and the way back leads back.
//!
//! `ZDMIG_RANDOM=n` makes n of them; a failure names the seed, and `ZDMIG_SEED=seed` runs that
//! one alone.

use std::collections::BTreeSet;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use zdmig::plan::Plan;

use crate::corpus::{differs, dump};
use crate::crash::{Journey, plan_of, travel};
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

struct Made {
    schema: String,
    table: String,
    columns: Vec<Column>,
    indexes: Vec<String>,
    constraints: Vec<String>,
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
const KINDS: [&str; 8] =
    ["integer", "bigint", "text", "varchar(40)", "numeric(10,2)", "boolean", "date", "smallint"];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn value(kind: &str, number: usize) -> String {
    match kind {
        "boolean" => number.is_multiple_of(2).to_string(),
        "date" => format!("(date '2026-01-01' + {number})"),
        "text" | "varchar(40)" => format!("'{number}'"),
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
    let mut schema = format!("CREATE TABLE {} ({});\n", quoted(&name), parts.join(", "));
    let mut indexes = Vec::new();
    for number in 0..dice.below(4) {
        let column = dice.pick(&columns);
        let index = format!("ix {number}");
        let unique = if column.kind != "boolean" && dice.chance(40) { "UNIQUE " } else { "" };
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
        let clause = if column.kind != "boolean" && dice.chance(50) {
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
    Made { schema, table: name, columns, indexes, constraints }
}

/// A few changes that the plain statements can make, each of a column of its own.
fn changes(dice: &mut Dice, made: &Made) -> String {
    let table = quoted(&made.table);
    let mut left = made.columns.clone();
    let (mut indexes, mut constraints) = (made.indexes.clone(), made.constraints.clone());
    let mut sql = String::new();
    for number in 0..=dice.below(3) {
        if left.is_empty() {
            break;
        }
        let column = left.remove(dice.below(left.len()));
        let name = quoted(&column.name);
        let one = match dice.below(11) {
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
            6 => format!("ADD CONSTRAINT \"new rule {number}\" CHECK ({name} IS NULL OR id > 0)"),
            7 => "ALTER COLUMN id TYPE bigint".into(),
            8 if !constraints.is_empty() => {
                format!("DROP CONSTRAINT {}", quoted(&constraints.swap_remove(0)))
            }
            9 if !indexes.is_empty() => {
                sql.push_str(&format!("DROP INDEX {};\n", quoted(&indexes.swap_remove(0))));
                continue;
            }
            _ => {
                sql.push_str(&format!("CREATE INDEX \"new ix {number}\" ON {table} ({name});\n"));
                continue;
            }
        };
        sql.push_str(&format!("ALTER TABLE {table} {one};\n"));
    }
    sql
}

/// Every row, with its columns in the order of their names.
async fn rows(database: &Database, table: &str) -> Vec<Vec<Option<String>>> {
    let catalog = database.catalog().await;
    let known = catalog.tables.values().find(|one| one.name.name.as_str() == table);
    let names: Vec<_> = known
        .into_iter()
        .flat_map(|one| &one.columns)
        .map(|one| quoted(one.name.as_str()))
        .collect();
    let shown: Vec<_> = names.iter().map(|name| format!("{name}::text")).collect();
    let query = format!("SELECT {} FROM {} ORDER BY id", shown.join(", "), quoted(table));
    database.client().await.rows(&query, &[]).await.expect("rows")
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
    let (before, kept) = (dump(&database), rows(&database, &made.table).await);
    let journey = travel(&mut *database.session().await, &plan, Journey::Back).await;
    journey.unwrap_or_else(|error| panic!("{said}: there and back: {error}"));
    let after = dump(&database);
    assert!(after == before, "{said}\n{}\n{}", differs(&after, &before), differs(&before, &after));
    assert_eq!(rows(&database, &made.table).await, kept, "{said}");
    let fresh = Database::postgres("forward").await;
    fresh.script(&made.schema).await;
    let journey = travel(&mut *fresh.session().await, &plan, Journey::Forward).await;
    journey.unwrap_or_else(|error| panic!("{said}: {error}"));
    let (found, expected) = (dump(&fresh), dump(&plain));
    let (more, less) = (differs(&found, &expected), differs(&expected, &found));
    assert!(more.is_empty() && less.is_empty(), "{said}\nmore:\n{more}\nless:\n{less}");
    assert_eq!(rows(&fresh, &made.table).await, rows(&plain, &made.table).await, "{said}");
    assert_eq!(fresh.leftovers().await, Vec::<String>::new(), "{said}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn random_changes_make_what_plain_statements_make() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("ZDMIG_SEED") {
        assert!(one(seed).await, "it is refused");
        return;
    }
    let wanted = number("ZDMIG_RANDOM").unwrap_or(60);
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
