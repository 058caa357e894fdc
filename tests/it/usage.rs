//! What queries use of a column, against statements that are easily misread, and against the
//! server itself.

#[path = "usage/generator.rs"]
mod generator;

use sqlparser::dialect::{PostgreSqlDialect, SQLiteDialect};
use zdmig::dialect::Client;
use zdmig::gate::{Explained, Reader, Schema, Way};
use zdmig::sql::{ColumnRef, Ident, TableName};

use generator::{Dice, Maker, World};

use crate::support::{Database, Project, attach, unique};

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

fn git(folder: &std::path::Path, arguments: &[&str]) {
    let ran = std::process::Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .expect("git is installed");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// A manifest made of a commit's own code, and the gate that reads it: the old version's commit has
/// the query that uses the column, the new one's has not.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_made_of_the_code_of_a_commit() {
    let database = Database::postgres("published").await;
    database
        .script("CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL, age int)")
        .await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    let folder = project.folder.path();
    git(folder, &["init", "-q"]);
    std::fs::create_dir_all(folder.join("src")).expect("a folder");
    std::fs::create_dir_all(folder.join(".sqlx")).expect("a folder");
    let write = |name: &str, text: &str| project.write(name, text);
    write("src/old.rs", "fn q() {\n    run(\"SELECT id, username FROM users\");\n}\n");
    write(
        ".sqlx/query-00aa11bb22.json",
        "{\"query\": \"UPDATE users SET age = $1 WHERE id = $2\"}",
    );
    git(folder, &["add", "src", ".sqlx"]);
    git(folder, &["commit", "-qm", "one"]);
    std::fs::remove_file(folder.join("src/old.rs")).expect("removed");
    write(
        "src/new.py",
        "q = f\"SELECT {columns} FROM orders\"\nrun('SELECT id, email FROM users')\n",
    );
    git(folder, &["add", "-A", "src"]);
    git(folder, &["commit", "-qm", "two"]);

    // What the folder holds now says nothing of the commit before.
    let of = |version: &str, more: &str| {
        project.run(&format!(
            "usage publish --service api --version {version} --from sqlx,scan=src --by-search-path {more}"
        ))
    };
    of("1", "--git-ref HEAD~1 --complete --output one.json").done();
    let text = std::fs::read_to_string(folder.join("one.json")).expect("a manifest");
    let one: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(one["complete"], true);
    assert_eq!(one["unresolved"], serde_json::json!([]));
    let items = one["items"].as_array().expect("items");
    let item = |via: &str| {
        items.iter().find(|one| one["via"][0] == via).unwrap_or_else(|| panic!("{via}: {text}"))
    };
    assert_eq!(item("src/old.rs:2")["read"], serde_json::json!(["id", "username"]));
    assert_eq!(item("sqlx:00aa11bb")["write"], serde_json::json!(["age"]));

    project.run("expand").done();
    project.run("backfill").done();
    of("1", "--git-ref HEAD~1 --complete").done();
    let told = of("2", "--git-ref HEAD");
    let told = told.done().err;
    assert!(told.contains("src/new.py:1 cannot be read to its end"), "{told}");
    assert!(told.contains("--complete"), "{told}");
    project.write(
        "zdmig.toml",
        "[[consumer]]\nname = \"api\"\nroles = [\"postgres\"]\nunnamed_sessions = true\n",
    );
    project.run("heartbeat --service api --version 1 --instance a").done();
    project.run("gate 1").exits(11).says(&["E_VERSION_USES", "src/old.rs:2"]);
    project.run("heartbeat --service api --version 1 --instance a --bye").done();
    project.run("heartbeat --service api --version 2 --instance b").done();
    project.run("gate 1").exits(12).says(&["U_INCOMPLETE", "U_DYNAMIC_SQL", "src/new.py:1"]);

    // People say what the code does not: why the one is no danger, and that this is all.
    write(
        "waivers.json",
        "{\"zdmig_usage\": 1, \"service\": \"api\", \"version\": \"3\", \"unresolved\": [{\"at\": \
         \"src/new.py:1\", \"sql\": \"SELECT {} FROM orders\", \"waiver\": \"columns of orders\"}]}",
    );
    project
        .run(
            "usage publish waivers.json --service api --version 3 --from sqlx,scan=src \
             --by-search-path --complete",
        )
        .done();
    project.run("heartbeat --service api --version 2 --instance b --bye").done();
    project.run("heartbeat --service api --version 3 --instance b").done();
    project.run("gate 1").done().says(&["PASS"]);
    project.run("usage publish --from scan=nowhere --service a --version 1").exits(2);
    project.run("usage publish --from guess --service a --version 1").exits(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_of_a_file_are_read_in_its_own_grammar() {
    let database = Database::sqlite().await;
    database
        .script(
            "CREATE TABLE Users (id INTEGER PRIMARY KEY, Name TEXT, age INT); \
             CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INT, name TEXT); \
             CREATE VIEW Named AS SELECT id, name AS called FROM users; \
             CREATE VIEW aged AS SELECT id, age FROM users",
        )
        .await;
    let catalog = database.session().await.catalog().await.expect("a catalogue");
    let schema = Schema::new(&catalog, true);
    let mut reader = Reader::new(&schema, &SQLiteDialect {});
    let target = ColumnRef::new(&TableName::new(None, "Users"), &Ident::new("Name"));
    for (expected, sql) in [
        ('R', "SELECT NAME FROM users"),
        ('R', "SELECT \"name\" FROM \"users\""),
        ('R', "SELECT [name] FROM main.users"),
        ('R', "SELECT `u`.`name` FROM users u"),
        ('R', "SELECT * FROM users"),
        ('R', "SELECT called FROM named"),
        ('-', "SELECT age FROM aged"),
        ('-', "SELECT name FROM pets"),
        ('-', "SELECT p.name FROM pets p JOIN users u ON u.id = p.owner"),
        ('W', "INSERT OR REPLACE INTO users (id, name) VALUES (?1, ?2)"),
        ('W', "INSERT INTO users VALUES (1, 'a', 2)"),
        ('W', "UPDATE users SET name = ?1 WHERE id = :id"),
        ('-', "DELETE FROM users WHERE id = ?"),
    ] {
        let explained = reader.explain(sql, &target);
        assert_eq!(kind(&explained), expected, "{sql}: {explained:?}");
    }
}

/// An ORM's queries are nowhere written: what it maps counts as read and written.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_orm_maps_is_used() {
    let database = Database::sqlite().await;
    database.script("CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT, note TEXT)").await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config("[[consumer]]\nname = \"api\"\n");
    project.run("expand").done();
    project.run("backfill").done();
    std::fs::create_dir(project.path("prisma")).expect("a folder");
    std::fs::create_dir(project.path("models")).expect("a folder");
    let prisma = |column: &str| {
        let schema = format!(
            "model User {{\n  id Int @id\n  name String @map(\"{column}\")\n  @@map(\"users\")\n}}\n"
        );
        project.write("prisma/schema.prisma", &schema);
    };
    let models = |column: &str| {
        let dump = format!(
            "{{\"models\": [{{\"table\": \"users\", \"columns\": [\"id\", \"{column}\"]}}]}}"
        );
        project.write("models/django.json", &dump);
    };
    for (version, from, column, code) in [
        ("1", "prisma", "username", 11),
        ("2", "prisma", "email", 0),
        ("3", "models", "username", 11),
        ("4", "models", "email", 0),
    ] {
        prisma(column);
        models(column);
        let line =
            format!("usage publish --service api --version {version} --from {from} --complete");
        project.run(&line).done();
        project.run(&format!("deploy record --service api --version {version}")).done();
        let ran = project.run("gate 1").exits(code);
        if code == 11 {
            ran.says(&["E_VERSION_USES", &format!("{from}/")[..from.len()]]);
        }
    }
    project.write("models/django.json", "{\"models\": [{\"table\": \"users\"}]}");
    project
        .run("usage publish --service api --version 5 --from models --complete")
        .exits(2)
        .says(&["cannot be read as models"]);
}
