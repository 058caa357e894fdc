//! What queries use of a column, against statements that are easily misread, and against the
//! server itself.

#[path = "usage/generator.rs"]
mod generator;

use sqlparser::dialect::PostgreSqlDialect;
use zdmig::dialect::Client;
use zdmig::gate::{Explained, Reader, Schema, Way};
use zdmig::sql::{ColumnRef, Ident, TableName};

use generator::{Dice, Maker, World};

use crate::support::{Database, attach, unique};

fn target() -> ColumnRef {
    ColumnRef::new(&TableName::new(Some("public"), "users"), &Ident::new("legacy_name"))
}

/// What an answer comes to: `-`, `W` for what only writes, `R`, or `?`.
fn kind(explained: &Explained) -> char {
    let writes = |way: &Way| matches!(way, Way::Write | Way::Positional);
    match () {
        () if explained.is_none() => '-',
        () if explained.ways.is_empty() => '?',
        () if explained.ways.keys().all(writes) => 'W',
        () => 'R',
    }
}

/// An answer is unsafe where it says that a column is not used, or only written, and it is read.
/// To say that it is not known is safe; it is no answer.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_are_easily_misread_are_read_well() {
    let database = Database::postgres("tricky").await;
    database.script(include_str!("usage/schema.sql")).await;
    let catalog = database.session().await.catalog().await.expect("a catalogue");
    let (schema, target) = (Schema::new(&catalog, false), target());
    let mut reader = Reader::new(&schema, &PostgreSqlDialect {});
    let (mut inexact, mut bad) = (Vec::new(), Vec::new());
    let all: Vec<_> = include_str!("usage/tricky.txt").lines().collect();
    for line in &all {
        let (expected, sql) = line.split_once(' ').expect("a kind and a statement");
        let expected = expected.chars().next().expect("a kind");
        let explained = reader.explain(sql, &target);
        let found = kind(&explained);
        if found != expected {
            let line = format!("{expected} but {found}: {sql}\n    {explained:?}");
            let safe = found == '?' || found == 'R' || (found == 'W' && expected == '-');
            if safe { inexact.push(line) } else { bad.push(line) }
        }
    }
    assert!(bad.is_empty(), "unsafe:\n{}\ninexact:\n{}", bad.join("\n"), inexact.join("\n"));
    assert!(inexact.len() <= 4, "{} of {}:\n{}", inexact.len(), all.len(), inexact.join("\n"));
}

/// A schema of random tables and views on the server: as it is, and without the target.
struct Oracle {
    whole: Database,
    _without: Database,
    /// As whoever may do everything.
    all: Box<dyn Client>,
    /// As roles that may do everything but read, or write, the target.
    blind: Vec<Box<dyn Client>>,
    /// Where the target is gone.
    after: Box<dyn Client>,
    world: World,
}

impl Oracle {
    async fn new(dice: &mut Dice) -> Option<Self> {
        let world = World::new(dice);
        let (whole, without) =
            (Database::postgres("oracle").await, Database::postgres("without").await);
        for database in [&whole, &without] {
            let mut client = attach(&database.url, "oracle").await.client;
            client.script(&world.ddl()).await.ok()?;
        }
        let (table, column) = &world.target;
        let drop = format!("ALTER TABLE {table} DROP COLUMN \"{column}\" CASCADE");
        without.script(&drop).await;
        let mut blind = Vec::new();
        for what in ["SELECT", "INSERT, UPDATE"] {
            let role = unique("blind");
            let mut client = attach(&whole.url, "oracle").await.client;
            client.script(&format!("CREATE ROLE {role}; GRANT CREATE ON SCHEMA public TO {role}; SET ROLE {role}; RESET ROLE")).await.ok()?;
            for relation in &world.relations {
                let name = &relation.name;
                let sql = format!("GRANT ALL ON {name} TO {role}");
                client.script(&sql).await.ok()?;
                if name == table {
                    let others: Vec<_> = relation
                        .columns
                        .iter()
                        .filter(|one| *one != column)
                        .map(|one| format!("\"{one}\""))
                        .collect();
                    let others = others.join(", ");
                    let privileges: Vec<_> =
                        what.split(", ").map(|one| format!("{one} ({others})")).collect();
                    let sql = format!(
                        "REVOKE {what} ON {name} FROM {role}; GRANT {} ON {name} TO {role}",
                        privileges.join(", ")
                    );
                    client.script(&sql).await.ok()?;
                }
            }
            client.script(&format!("SET ROLE {role}")).await.ok()?;
            blind.push((client, role));
        }
        let all = attach(&whole.url, "oracle").await.client;
        let after = attach(&without.url, "oracle").await.client;
        let blind = blind.into_iter().map(|(client, _)| client).collect();
        Some(Self { whole, _without: without, all, blind, after, world })
    }

    /// Whether a statement needs the target; `None` where it is no statement of this schema.
    async fn needs(&mut self, sql: &str) -> Option<bool> {
        let explain = format!("EXPLAIN {sql}");
        self.all.script(&explain).await.ok()?;
        if self.after.script(&explain).await.is_err() {
            return Some(true);
        }
        for client in &mut self.blind {
            if let Err(error) = client.script(&explain).await {
                assert!(error.to_string().contains("permission denied"), "{error}: {sql}");
                return Some(true);
            }
        }
        Some(false)
    }
}

/// The server knows best: where it says that a statement needs a column, ours must not say that it
/// does not. `ZDMIG_QUERIES` sets how many statements are compared.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "what was compared is told to whoever asks for it")]
async fn nothing_that_the_server_needs_is_called_unused() {
    let wanted = std::env::var("ZDMIG_QUERIES").ok().and_then(|one| one.parse().ok());
    let wanted: usize = wanted.unwrap_or(2_000);
    let (mut compared, mut needed, mut alarms, mut unsafe_ones) = (0, 0, Vec::new(), Vec::new());
    let mut made = 0;
    for seed in 1.. {
        if compared >= wanted {
            break;
        }
        let mut dice = Dice::new(seed);
        let Some(mut oracle) = Oracle::new(&mut dice).await else { continue };
        let catalog = oracle.whole.session().await.catalog().await.expect("a catalogue");
        let schema = Schema::new(&catalog, true);
        let mut reader = Reader::new(&schema, &PostgreSqlDialect {});
        let table = TableName::new(Some("public"), &oracle.world.target.0);
        let target = ColumnRef::new(&table, &Ident::new(&oracle.world.target.1));
        for _ in 0..200 {
            let sql = Maker::new(&mut dice, &oracle.world).statement();
            made += 1;
            let Some(needs) = oracle.needs(&sql).await else { continue };
            compared += 1;
            needed += usize::from(needs);
            let explained = reader.explain(&sql, &target);
            let line = || format!("seed {seed}, {target}: {sql}\n    {explained:?}");
            match (needs, explained.is_none()) {
                (true, true) => unsafe_ones.push(line()),
                // What is told by its place, or would become something else, goes on without an
                // error and means another thing.
                (false, false)
                    if explained.ways.contains_key(&Way::Positional)
                        || explained.ways.contains_key(&Way::Rebind) => {}
                (false, false) => alarms.push(line()),
                _ => {}
            }
        }
    }
    let told = format!(
        "{made} made, {compared} valid, {needed} need it, {} false alarms, {} missed",
        alarms.len(),
        unsafe_ones.len()
    );
    assert!(unsafe_ones.is_empty(), "{told}\n{}", unsafe_ones.join("\n"));
    assert!(alarms.len() * 100 <= compared * 3, "{told}\n{}", alarms.join("\n"));
    assert!(needed * 5 > compared && needed * 5 < compared * 4, "{told}");
    eprintln!("{told}\n{}", alarms.join("\n"));
}
