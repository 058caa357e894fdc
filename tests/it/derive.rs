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

const PEOPLE: &str = "
    CREATE TABLE p (id bigserial PRIMARY KEY, name text, n int DEFAULT 0);
    INSERT INTO p (name) VALUES ('Ann Li'), ('Bob Lo');";

/// `more` stands before the old column is dropped.
fn split(more: &str) -> String {
    format!(
        "-- zdmig:reverse p.name = first || ' ' || last
         ALTER TABLE p ADD COLUMN first text, ADD COLUMN last text;
         UPDATE p SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2);
         {more}
         ALTER TABLE p DROP COLUMN name;"
    )
}

struct Stage {
    database: Database,
    project: Project,
}

impl Stage {
    async fn at(schema: &str, change: &str, lines: &[&str]) -> Self {
        let database = Database::postgres("derived").await;
        database.script(schema).await;
        let project = Project::new(&database).migration("1_change", change).config(OPEN_GATE);
        for line in lines {
            project.run(line).done();
        }
        Self { database, project }
    }

    async fn shows(&self, query: &str, expected: &str) {
        let rows = self.database.client().await.rows(query, &[]).await.expect("rows");
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                row.iter().map(|it| it.as_deref().unwrap_or("-")).collect::<Vec<_>>().join("/")
            })
            .collect();
        assert_eq!(rows.join(" "), expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_that_comes_later_hides_no_write_of_old_code() {
    let change = split("ALTER TABLE p ALTER COLUMN last SET DEFAULT '?';");
    let one = Stage::at(PEOPLE, &change, &["expand", "backfill"]).await;
    one.database
        .script("INSERT INTO p (name) VALUES ('Cy Ma'); INSERT INTO p (first) VALUES ('Di')")
        .await;
    one.project.run("contract").done();
    one.database.script("INSERT INTO p (first) VALUES ('Eve')").await;
    one.shows("SELECT first, last FROM p ORDER BY id", "Ann/Li Bob/Lo Cy/Ma Di/? Eve/?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_new_code_clears_stays_cleared() {
    for (change, clear) in [
        (split(""), "UPDATE p SET first = NULL, last = NULL WHERE id = 1"),
        (
            "-- zdmig:no-sync p.name because \"old readers are gone\"
             ALTER TABLE p ADD COLUMN first text, ADD COLUMN last text;
             UPDATE p SET first = name, last = name;
             ALTER TABLE p DROP COLUMN name;"
                .to_owned(),
            "UPDATE p SET first = NULL, last = NULL WHERE id = 1",
        ),
    ] {
        let one = Stage::at(PEOPLE, &change, &["expand", "backfill"]).await;
        one.database.script(clear).await;
        one.project.run("backfill").done();
        one.project.run("contract").done();
        one.shows("SELECT first, last FROM p WHERE id = 1", "-/-").await;
    }
}

/// On a database without a mark nothing is computed again behind the gate.
#[tokio::test(flavor = "multi_thread")]
async fn what_new_code_clears_stays_cleared_in_a_file_too() {
    let database = Database::of("sqlite", "cleared").await;
    database
        .script("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT); INSERT INTO t VALUES (1, '7')")
        .await;
    let change = "-- zdmig:no-sync t.s because \"old readers are gone\"
        ALTER TABLE t ADD COLUMN n INTEGER; UPDATE t SET n = s + 1; ALTER TABLE t DROP COLUMN s;";
    let project = Project::new(&database).migration("1_change", change).config(OPEN_GATE);
    for line in ["expand", "backfill"] {
        project.run(line).done();
    }
    database.script("UPDATE t SET n = NULL").await;
    project.run("contract").done();
    let rows = database.client().await.rows("SELECT n FROM t", &[]).await.expect("a row");
    assert_eq!(rows, vec![vec![None]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_one_mapping_leaves_the_others() {
    let schema = "CREATE TABLE p (id int PRIMARY KEY, name text, city text, street text);
        INSERT INTO p VALUES (1, 'Dr. Ann Li', 'Rome', 'Via 1'), (2, 'Bob Lo', 'Oslo', 'Vei 2');";
    let change = "
        -- zdmig:reverse p.name = first || ' ' || last
        -- zdmig:reverse p.city = split_part(address, '/', 1)
        -- zdmig:reverse p.street = split_part(address, '/', 2)
        ALTER TABLE p ADD COLUMN first text, ADD COLUMN last text, ADD COLUMN address text;
        UPDATE p SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2),
            address = city || '/' || street;
        ALTER TABLE p DROP COLUMN name, DROP COLUMN city, DROP COLUMN street;";
    let one = Stage::at(schema, change, &["expand", "backfill"]).await;
    one.database.script("UPDATE p SET address = 'Milan/Via 9' WHERE id = 1").await;
    one.shows("SELECT name, city FROM p WHERE id = 1", "Dr. Ann Li/Milan").await;
    one.database.script("UPDATE p SET first = 'Mary Ann', last = 'Li' WHERE id = 2").await;
    one.database.script("UPDATE p SET city = 'Bergen' WHERE id = 2").await;
    one.shows("SELECT first, last, address FROM p WHERE id = 2", "Mary Ann/Li/Bergen/Vei 2").await;
    one.project.run("contract").done();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_computed_are_not_read_back() {
    // Before the fill new code changes one half: the other is computed with it.
    let one = Stage::at(PEOPLE, &split(""), &["expand"]).await;
    one.database.script("UPDATE p SET last = 'Lu' WHERE id = 1").await;
    one.shows("SELECT name, first, last FROM p WHERE id = 1", "Ann Lu/Ann/Lu").await;
    for line in ["backfill", "contract"] {
        one.project.run(line).done();
    }
    one.shows("SELECT first, last FROM p ORDER BY id", "Ann/Lu Bob/Lo").await;

    // Rows that the WHERE leaves out keep what they have on either side.
    let schema = "CREATE TABLE p (id int PRIMARY KEY, kind text, name text NOT NULL);
        INSERT INTO p VALUES (1, 'firm', 'ACME Corp'), (2, 'person', 'Ann Li');";
    let change = "
        -- zdmig:reverse p.name = first || ' ' || last
        ALTER TABLE p ADD COLUMN first text DEFAULT '?', ADD COLUMN last text;
        UPDATE p SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2)
            WHERE kind = 'person';
        ALTER TABLE p DROP COLUMN name;";
    let one = Stage::at(schema, change, &["expand", "backfill"]).await;
    one.database.script("INSERT INTO p (id, kind, name) VALUES (3, 'firm', 'Foo Bar')").await;
    one.database.script("UPDATE p SET last = 'Inc' WHERE id = 1; UPDATE p SET kind = kind").await;
    one.shows("SELECT first, last FROM p ORDER BY id", "?/Inc Ann/Li ?/-").await;
    one.shows("SELECT name FROM p WHERE id = 3", "Foo Bar").await;
    one.project.run("contract").done();

    // What could not be computed is not overwritten by a write to the other half.
    let schema = "CREATE TABLE a (id int PRIMARY KEY, doc jsonb); INSERT INTO a VALUES (1, '{}');";
    let change = "
        -- zdmig:reverse a.doc = jsonb_build_object('plan', plan, 'seats', seats)
        ALTER TABLE a ADD COLUMN plan text, ADD COLUMN seats int;
        UPDATE a SET plan = doc->>'plan', seats = (doc->>'seats')::int;
        ALTER TABLE a DROP COLUMN doc;";
    let one = Stage::at(schema, change, &["expand", "backfill"]).await;
    one.database.script("UPDATE a SET doc = '{\"plan\": \"x\", \"seats\": \"many\"}'").await;
    one.database.script("UPDATE a SET plan = 'pro'").await;
    one.project.run("contract").exits(15).says(&["many"]);
    one.shows("SELECT doc->>'seats' FROM a", "many").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trigger_outlives_what_it_reads() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, k int, x text);";
    let change = "
        -- zdmig:no-sync t.x because \"it is gone\"
        ALTER TABLE t ADD COLUMN a text, ADD COLUMN b text;
        UPDATE t SET a = upper(x) WHERE k = 1;
        UPDATE t SET b = lower(x) WHERE k = 2;
        ALTER TABLE t DROP COLUMN x;";
    let one = Stage::at(schema, change, &["expand", "backfill", "contract --soak 1h"]).await;
    one.database.script("INSERT INTO t (id, k, b) VALUES (1, 1, 'b'); UPDATE t SET k = k").await;
    one.project.run("purge 1_change").done();
    one.database.script("INSERT INTO t (id, k, b) VALUES (2, 1, 'b'); UPDATE t SET k = k").await;

    let change = "ALTER TABLE t ADD COLUMN a text; UPDATE t SET a = upper(x);";
    let one = Stage::at(schema, change, &["expand", "backfill"]).await;
    one.project.write("migrations/2_drop.sql", "ALTER TABLE t DROP COLUMN x;");
    one.project.run("expand 2").exits(10).says(&["public.t.x", "1_change"]);
    one.project.run("contract 1").done();
    for line in ["expand 2", "backfill 2", "contract 2"] {
        one.project.run(line).done();
    }
    one.database.script("INSERT INTO t (id, a) VALUES (1, 'A'); UPDATE t SET k = 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_writes_all_through_contract_and_purge() {
    let schema =
        "CREATE TABLE p (id bigserial PRIMARY KEY, city text NOT NULL, street text NOT NULL);
        INSERT INTO p (city, street) SELECT 'Oslo', 'Vei ' || g FROM generate_series(1, 1000) g;";
    let change = "
        -- zdmig:reverse p.city = nullif(split_part(address, '/', 1), '')
        -- zdmig:reverse p.street = nullif(split_part(address, '/', 2), '')
        ALTER TABLE p ADD COLUMN address text;
        UPDATE p SET address = city || '/' || street;
        ALTER TABLE p DROP COLUMN city, DROP COLUMN street;";
    let one = Stage::at(schema, change, &["expand", "backfill"]).await;
    let manifest = MANIFEST.replace("shop", "nobody").replace("people", "p");
    one.project.write("nobody.json", &manifest.replace("\"first\", \"last\", ", ""));
    one.project.run("usage publish nobody.json").done();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (url, stop) = (one.database.url.clone(), stop.clone());
            tokio::spawn(async move {
                let mut client = attach(&url, "nobody@2").await.client;
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    for address in ["'Oslo/Vei'", "'nowhere'", "NULL"] {
                        let insert = format!("INSERT INTO p (address) VALUES ({address})");
                        client.run(&insert, &[]).await.expect("a row");
                        written += 1;
                    }
                }
                written
            })
        })
        .collect();
    for line in ["contract --soak 1h", "restore 1_change", "contract --soak 1h", "purge 1_change"] {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let ran = one.project.command(line).output().expect("it runs");
        Ran::from(line, ran).done();
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = 1000;
    for writer in writers {
        written += writer.await.expect("no write fails");
    }
    one.shows("SELECT count(*) FROM p", &written.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_means_in_phases_what_it_means_at_once() {
    // A condition, a correction, and triggers that feed each other.
    let schema = "CREATE TABLE t (id int PRIMARY KEY, k int, s text, x text);
        INSERT INTO t VALUES (1, 1, '12', 'ann-2'), (2, 0, 'abc', 'bob'), (3, 1, '7', NULL);";
    let change = "ALTER TABLE t ADD COLUMN n int; UPDATE t SET n = s::int WHERE s ~ '^[0-9]+$';";
    let one = Stage::at(schema, change, &["expand", "backfill"]).await;
    one.database
        .script("INSERT INTO t VALUES (4, 1, 'xyz'), (5, 1, '5'); UPDATE t SET k = k")
        .await;
    one.shows("SELECT n FROM t ORDER BY id", "12 - 7 - 5").await;

    let change = "ALTER TABLE t ADD COLUMN a text, ADD COLUMN b text;
        UPDATE t SET a = split_part(x, '-', 1), b = nullif(split_part(x, '-', 2), '');
        UPDATE t SET a = initcap(a);
        UPDATE t SET b = 'none' WHERE b IS NULL;";
    let allowed = format!("-- zdmig:allow not-repeatable because \"nobody writes\"\n{change}");
    let one = Stage::at(schema, &allowed, &["expand", "backfill", "contract"]).await;
    one.shows("SELECT a, b FROM t ORDER BY id", "Ann/2 Bob/none -/none").await;

    for name in ["p", "p2", "p3", "p4"] {
        let more = "ALTER TABLE p ADD COLUMN initials text;
            UPDATE p SET initials = left(first, 1) || left(last, 1);";
        let of = |text: &str| {
            text.replace(" p ", &format!(" {name} ")).replace(" p.", &format!(" {name}."))
        };
        let one = Stage::at(&of(PEOPLE), &of(&split(more)), &["expand", "backfill"]).await;
        one.database.script(&format!("INSERT INTO {name} (name) VALUES ('Cy Ma')")).await;
        one.shows(&format!("SELECT initials FROM {name} ORDER BY id"), "AL BL CM").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_tightens_nothing_for_old_code() {
    let change = split("ALTER TABLE p ADD CONSTRAINT last_given CHECK (last <> '');");
    let one = Stage::at(PEOPLE, &change, &["expand", "backfill"]).await;
    one.database.script("INSERT INTO p (name) VALUES ('Cher')").await;

    let schema = "CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, '1');";
    let change = "-- zdmig:reverse t.s = n::text
        ALTER TABLE t ADD COLUMN n int; UPDATE t SET n = s::int;
        ALTER TABLE t ALTER COLUMN n SET NOT NULL; ALTER TABLE t DROP COLUMN s;";
    let one = Stage::at(schema, change, &["expand", "backfill"]).await;
    one.database.script("INSERT INTO t VALUES (2, 'abc')").await;
    one.project.run("contract").exits(15);
    one.database.script("DELETE FROM t WHERE id = 2").await;
    one.project.run("contract").done();

    // A foreign key of what goes holds on to nothing any more.
    let schema = "CREATE TABLE c (code text PRIMARY KEY); INSERT INTO c VALUES ('it'), ('no');
        CREATE TABLE t (id int PRIMARY KEY, code text REFERENCES c, town text);
        INSERT INTO t VALUES (1, 'it', 'Rome');";
    let change = "-- zdmig:reverse t.code = split_part(place, '/', 1)
        -- zdmig:reverse t.town = split_part(place, '/', 2)
        ALTER TABLE t ADD COLUMN place text; UPDATE t SET place = code || '/' || town;
        ALTER TABLE t DROP COLUMN code, DROP COLUMN town;";
    let one = Stage::at(schema, change, &["expand", "backfill", "contract --soak 1h"]).await;
    one.database.script("DELETE FROM c WHERE code = 'it'; UPDATE t SET place = 'fr/Paris'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_mean_the_same_in_every_session() {
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, '01/02/2020');";
    let change = "SET datestyle = 'ISO, DMY';
        ALTER TABLE t ADD COLUMN d date; UPDATE t SET d = s::date;";
    let one = Stage::at(schema, change, &[]).await;
    one.project.run("plan").exits(10).says(&["datestyle"]);

    let schema = "CREATE TABLE e (id int PRIMARY KEY, at timestamptz);
        INSERT INTO e VALUES (1, '2026-01-01 10:00+00');";
    let change = "-- zdmig:reverse e.at = (day + clock)::timestamptz
        ALTER TABLE e ADD COLUMN day date, ADD COLUMN clock time;
        UPDATE e SET day = at::date, clock = at::time;
        ALTER TABLE e DROP COLUMN at;";
    let one = Stage::at(schema, change, &["expand", "backfill"]).await;
    one.database.script("SET timezone = 'America/New_York'; UPDATE e SET clock = '23:45'").await;
    one.shows(
        "SELECT (at AT TIME ZONE current_setting('timezone') = day + clock)::text FROM e",
        "true",
    )
    .await;
    let change = split("").replace("split_part(name, ' ', 1)", "split_part(public.p.name, ' ', 1)");
    let one = Stage::at(PEOPLE, &change, &[]).await;
    one.project.run("plan").exits(10).says(&["names the schema"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_beforehand_asks_what_the_update_means() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, s text, n int, o oid);
        INSERT INTO t VALUES (1, '12', NULL, lo_from_bytea(0, 'x')), (2, 'garbage', 7, NULL);";
    let change =
        "UPDATE t SET n = s::int WHERE n IS NULL; ALTER TABLE t ALTER COLUMN n SET NOT NULL;";
    Stage::at(schema, change, &["expand", "backfill", "contract"]).await;
    let change = "ALTER TABLE t ADD COLUMN gone bool; UPDATE t SET gone = lo_unlink(o) = 1;";
    let one = Stage::at(schema, change, &["expand"]).await;
    one.shows("SELECT count(*) FROM pg_largeobject_metadata WHERE oid IN (SELECT o FROM t)", "1")
        .await;
}
