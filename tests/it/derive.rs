//! A column is split, others are merged, while old and new code write: each side reads what
//! the other wrote, nothing fails, and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use zdmig::dialect::Value;

use crate::support::{Database, OPEN_GATE, Project, Ran, attach};

const SCHEMA: &str = "
    CREATE TABLE people (id bigserial PRIMARY KEY, name text NOT NULL, city text, street text DEFAULT '-');
    INSERT INTO people (name, city, street)
    SELECT 'Ann' || g || ' Li', 'Rome', 'Via ' || g FROM generate_series(1, 20000) g;";

const CHANGE: &str = "
    -- zdmig:reverse people.name = first || ' ' || last
    -- zdmig:reverse people.city = split_part(address, '/', 1)
    -- zdmig:reverse people.street = split_part(address, '/', 2)
    ALTER TABLE people ADD COLUMN first text, ADD COLUMN last text;
    UPDATE people SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2);
    ALTER TABLE people DROP COLUMN name;
    ALTER TABLE people ALTER COLUMN first SET NOT NULL;
    ALTER TABLE people ADD COLUMN address text;
    UPDATE people SET address = city || '/' || street;
    ALTER TABLE people DROP COLUMN city, DROP COLUMN street;";

/// What the new code uses.
const MANIFEST: &str = r#"{
    "zdmig_usage": 1, "service": "shop", "version": "2", "complete": true,
    "items": [{
        "table": "people", "read": ["id", "address"], "write": ["first", "last", "address"],
        "nulls": [], "upsert": []
    }]
}"#;

/// The statements of one version of the application.
#[derive(Clone, Copy)]
struct Version {
    name: &'static str,
    insert: &'static str,
    rename: &'static str,
    move_house: &'static str,
}

const OLD: Version = Version {
    name: "shop@1",
    insert: "INSERT INTO people (name, city) VALUES ($1, 'Oslo') RETURNING id::text",
    rename: "UPDATE people SET name = $1 WHERE id = $2::text::int8",
    move_house: "UPDATE people SET street = $1 WHERE id = $2::text::int8",
};

const NEW: Version = Version {
    name: "shop@2",
    insert: "INSERT INTO people (first, last, address) VALUES \
             (split_part($1, ' ', 1), split_part($1, ' ', 2), 'Oslo/-') RETURNING id::text",
    rename: "UPDATE people SET first = split_part($1, ' ', 1), last = split_part($1, ' ', 2) \
             WHERE id = $2::text::int8",
    move_house: "UPDATE people SET address = split_part(address, '/', 1) || '/' || $1 \
                 WHERE id = $2::text::int8",
};

/// What a client was told is written: who, the name and the street.
type Written = Vec<(String, String, String)>;

/// Writes people until it is told to stop. Every statement must succeed. Those that exist are
/// changed too, each by one client alone.
fn writer(url: String, stop: Arc<AtomicBool>, seed: u64, version: Version) -> JoinHandle<Written> {
    tokio::spawn(async move {
        let mut client = attach(&url, version.name).await.client;
        let mut written = Written::new();
        let mut turn = 0;
        while !stop.load(Ordering::Relaxed) {
            turn += 1;
            let (name, street) = (format!("N{turn} W{seed}"), format!("S{turn}"));
            let rows = client.rows(version.insert, &[Value::Text("A B")]).await.expect("a row");
            let made = rows[0][0].clone().expect("an id");
            let there = (turn * 74 % 20_000 + seed).to_string();
            for id in [made, there] {
                for (sql, value) in [(version.rename, &name), (version.move_house, &street)] {
                    let values = [Value::Text(value), Value::Text(&id)];
                    assert_eq!(client.run(sql, &values).await.expect("a change"), 1, "{id}");
                }
                written.retain(|(one, ..)| *one != id);
                written.push((id, name.clone(), street.clone()));
            }
        }
        written
    })
}

struct Town {
    database: Database,
    project: Project,
    written: Written,
}

impl Town {
    async fn open(name: &str) -> Self {
        let database = Database::postgres(name).await;
        database.script(SCHEMA).await;
        let config = OPEN_GATE.replace("nobody", "shop");
        let project = Project::new(&database).migration("1_address", CHANGE).config(&config);
        project.write("shop.json", MANIFEST);
        Self { database, project, written: Written::new() }
    }

    /// Runs commands while clients of these versions write.
    async fn while_writing(&mut self, versions: &[Version], lines: &[&str]) {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |(seed, version): (usize, &Version)| {
            let seed = u64::try_from(seed).expect("few") + 1;
            writer(self.database.url.clone(), stop.clone(), seed, *version)
        };
        let writers: Vec<_> = versions.iter().enumerate().map(start).collect();
        for line in lines {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let ran = self.project.command(line).output().expect("it runs");
            Ran::from(line, ran).done();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            for one in writer.await.expect("no statement fails") {
                self.written.retain(|(id, ..)| *id != one.0);
                self.written.push(one);
            }
        }
    }

    /// Every write that was acknowledged shows, to the version that asks.
    async fn shows(&self, name: &str, street: &str) {
        assert!(self.written.len() > 100, "hardly anything was written: {}", self.written.len());
        let mut client = self.database.client().await;
        let query = format!("SELECT {name}, {street} FROM people WHERE id = $1::text::int8");
        for (id, expected, house) in &self.written {
            let rows = client.rows(&query, &[Value::Text(id)]).await.expect("a row");
            assert_eq!(rows[0], vec![Some(expected.clone()), Some(house.clone())], "person {id}");
        }
    }
}

const NEW_NAME: &str = "first || ' ' || last";
const NEW_STREET: &str = "split_part(address, '/', 2)";

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_split_and_merged_while_old_and_new_code_write() {
    let mut town = Town::open("derive").await;
    town.while_writing(&[OLD, OLD], &["expand", "rollback 1_address", "expand", "backfill"]).await;
    town.shows("name", "street").await;
    town.shows(NEW_NAME, NEW_STREET).await;
    town.while_writing(&[OLD, NEW], &["backfill"]).await;
    town.shows("name", "street").await;
    town.shows(NEW_NAME, NEW_STREET).await;
    town.project.run("usage publish shop.json").done();
    town.while_writing(&[NEW, NEW], &["contract --soak 1h"]).await;
    town.shows(NEW_NAME, NEW_STREET).await;
    // The old columns were kept current while they were away.
    town.project.run("restore 1_address").done();
    town.shows("name", "street").await;
    town.while_writing(&[NEW, OLD], &["backfill"]).await;
    town.shows("name", "street").await;
    town.shows(NEW_NAME, NEW_STREET).await;
    town.while_writing(&[NEW, NEW], &["contract"]).await;
    town.shows(NEW_NAME, NEW_STREET).await;
    assert_eq!(town.database.leftovers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_apart_is_no_error_and_is_not_lost() {
    let database = Database::postgres("derive_bad").await;
    database
        .script(
            "CREATE TABLE accounts (id int PRIMARY KEY, doc jsonb);
             INSERT INTO accounts VALUES (1, '{\"plan\": \"free\", \"seats\": 3}');",
        )
        .await;
    let change = "
        -- zdmig:reverse accounts.doc = jsonb_build_object('plan', plan, 'seats', seats)
        ALTER TABLE accounts ADD COLUMN plan text, ADD COLUMN seats int;
        UPDATE accounts SET plan = doc->>'plan', seats = (doc->>'seats')::int;
        ALTER TABLE accounts DROP COLUMN doc;";
    let project = Project::new(&database).migration("1_flat", change).config(OPEN_GATE);
    for line in ["expand", "backfill"] {
        project.run(line).done();
    }
    // Old code goes on: no write of its fails, whatever the document holds.
    database
        .script("INSERT INTO accounts VALUES (2, '{\"plan\": \"paid\", \"seats\": \"many\"}')")
        .await;
    let ran = project.run("contract").exits(15);
    ran.says(&["many"]);
    let mut client = database.client().await;
    let rows = client.rows("SELECT doc->>'seats' FROM accounts WHERE id = 2", &[]).await;
    assert_eq!(rows.expect("a row"), vec![vec![Some("many".to_owned())]]);
    // Mended by hand, it goes on where it was.
    database.script("UPDATE accounts SET doc = doc || '{\"seats\": 9}' WHERE id = 2").await;
    project.run("contract").done();
    let rows = client.rows("SELECT plan, seats::text FROM accounts WHERE id = 2", &[]).await;
    assert_eq!(rows.expect("a row"), vec![vec![Some("paid".to_owned()), Some("9".to_owned())]]);
}
