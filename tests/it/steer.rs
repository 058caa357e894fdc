//! A fill is steered from another terminal, and held back by the database.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Database, OPEN_GATE, Project, ask, attach, renamed, server, unique};

fn started(project: &Project, line: &str) -> Child {
    let mut command = project.command(line);
    command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts")
}

/// How it ended, and what it said.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What status says of the fill.
fn fill(project: &Project) -> Value {
    let ran = project.run("status --format json").done();
    let status: Value = serde_json::from_str(&ran.out).expect("JSON");
    status["migrations"][0]["fill"].clone()
}

/// Asks status until it says so.
fn says(project: &Project, what: &str, said: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..300 {
        let fill = fill(project);
        if said(&fill) {
            return fill;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("status never says {what}: {}", fill(project));
}

fn held(by: &'static str) -> impl Fn(&Value) -> bool {
    move |fill| fill["held_by"].as_str().is_some_and(|text| text.contains(by))
}

const FILLED: &str = "SELECT count(email) FROM users";
const WRONG: &str = "SELECT count(*) FROM users WHERE email IS NULL OR email <> username";

/// Nothing is filled and nothing is held while it is paused. `ZDMIG_PAUSE` says for how many
/// seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_fill_pauses_and_goes_on() {
    let pause = std::env::var("ZDMIG_PAUSE").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    for (product, rows) in [("postgres", 200_000), ("sqlite", 100_000)] {
        let (database, project) = renamed(product, "steer_pause", rows).await;
        let mut client = database.client().await;
        let child = started(&project, "backfill --pace gentle");
        while ask(&mut *client, FILLED).await == "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        project.run("pause 1 --reason lunch").done().says(&["1_rename: paused", "zdmig resume"]);
        // Within one chunk: what was under way when it was said, and no more.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let then = ask(&mut *client, FILLED).await;
        assert_ne!(then, rows.to_string(), "it was too late");
        says(&project, "paused", held("lunch"));
        tokio::time::sleep(Duration::from_secs(pause)).await;
        assert_eq!(ask(&mut *client, FILLED).await, then, "{product}: rows were filled meanwhile");
        if product == "postgres" {
            let leased = "SELECT count(*) FROM zdmig.part WHERE pid IS NOT NULL";
            assert_eq!(ask(&mut *client, leased).await, "0", "parts are left to others");
        }
        project.run("status").done().says(&["paused by", "lunch"]);
        project.run("resume").done().says(&["1_rename: may go on"]);
        let (code, said) = ended(child);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("waits: paused by") && said.contains("goes on"), "{said}");
        assert_eq!(ask(&mut *client, WRONG).await, "0");
    }
}

/// What was paused before it began does not begin, and what has no open fill cannot be paused.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_may_come_first() {
    let (database, project) = renamed("postgres", "steer_first", 1_000).await;
    let mut client = database.client().await;
    project.run("pause").done();
    project.run("status").done().says(&["expanded", "paused by"]);
    project.run("backfill --max-duration 1s").exits(20).says(&["waits: paused by", "go on with"]);
    assert_eq!(ask(&mut *client, FILLED).await, "0");
    project.run("status").done().says(&["paused by"]);
    project.run("resume 1_rename").done();
    project.run("backfill").done();
    for verb in ["pause", "resume", "tune --workers 2"] {
        project.run(verb).exits(2).says(&["no migration is being backfilled", "zdmig status"]);
    }
    project.run("tune --pace slow").exits(2).says(&["`gentle`, `default` or `fast`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pace_and_workers_change_while_it_runs() {
    let (database, project) = renamed("postgres", "steer_tune", 400_000).await;
    let mut client = database.client().await;
    let child = started(&project, "backfill --pace gentle");
    let at = |pace: &'static str, workers: u64| {
        move |fill: &Value| fill["pace"] == pace && fill["workers"] == workers
    };
    says(&project, "gentle", at("gentle", 1));
    project.run("tune --workers 3").done().says(&["1_rename: tuned", "next: zdmig status"]);
    let fill = says(&project, "three workers", at("gentle", 3));
    let share = fill["share"].as_f64().expect("a share");
    assert!(share > 0.0 && share < 1.0, "{fill}");
    assert!(fill["rows_per_second"].as_f64().expect("a rate") > 0.0, "{fill}");
    assert!(fill["seconds_left"].as_f64().is_some(), "{fill}");
    assert_eq!(fill["runners"].as_array().expect("a list").len(), 1);
    project.run("tune 1 --workers 1 --pace fast").done();
    says(&project, "fast", at("fast", 1));
    let (code, said) = ended(child);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(ask(&mut *client, WRONG).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_stops_when_its_time_is_up() {
    let (database, project) = renamed("postgres", "steer_time", 300_000).await;
    let mut client = database.client().await;
    project.run("backfill --until 2020-01-01T00:00:00Z").exits(20).says(&["the time is up"]);
    assert_eq!(ask(&mut *client, FILLED).await, "0");
    let ran = project.run("backfill --max-duration 1s --pace gentle --workers 3").exits(20);
    ran.says(&["the time is up", "go on with: zdmig backfill 1_rename"]);
    let some: u32 = ask(&mut *client, FILLED).await.parse().expect("a number");
    assert!((1..300_000).contains(&some), "{some}");
    project.run("backfill --until 25:00").exits(2).says(&["write it like `06:00`"]);
    project.run("backfill --until 23:59 --max-duration 10h --pace fast").done();
    assert_eq!(ask(&mut *client, WRONG).await, "0");
}

/// A disk without room holds a fill, until there is some, or the limit is another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_it() {
    for (product, limit, said) in [
        ("postgres", "free_disk = \"50%\"\ndisk_size = \"1MB\"", "free_disk is -"),
        ("postgres", "free_disk = \"9000TB\"", "free_disk is "),
        ("sqlite", "free_disk = \"9000TB\"", "free_disk is "),
    ] {
        let (database, project) = renamed(product, "steer_disk", 100_000).await;
        let project = project.config(&format!("{OPEN_GATE}[limits]\n{limit}\n"));
        let mut client = database.client().await;
        let child = started(&project, "backfill --pace gentle");
        says(&project, "the disk", held("free_disk"));
        let then = ask(&mut *client, FILLED).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ask(&mut *client, FILLED).await, then, "rows were filled meanwhile");
        assert_ne!(then, "100000", "it was too late");
        project.run("status").done().says(&["held back: ", said]);
        // Read again while it runs; a mistake in it is told and changes nothing.
        project.write("zdmig.toml", &format!("{OPEN_GATE}[limits]\nfree_disk = \"some\"\n"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(ask(&mut *client, FILLED).await, then, "rows were filled meanwhile");
        project.write("zdmig.toml", &format!("{OPEN_GATE}[limits]\nfree_disk = \"off\"\n"));
        let (code, err) = ended(child);
        assert_eq!(code, Some(0), "{err}");
        for word in ["waits: free_disk", "`free_disk` from zdmig.toml, limits is `some`"] {
            assert!(err.contains(word), "no `{word}` in {err}");
        }
        assert_eq!(ask(&mut *client, WRONG).await, "0");
    }
}

/// What the server tells of itself holds it back as far as the file says.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_bears_holds_it() {
    for (limit, by) in [
        ("oldest_snapshot = \"1s\"", "oldest_snapshot of pid"),
        ("active_sessions = 0", "active_sessions is"),
        ("lock_waits = 0", "lock_waits is"),
        ("checkpoint = \"1kB\"", "checkpoint is"),
        ("dead_rows = 0", "dead_rows is"),
    ] {
        let (database, project) = renamed("postgres", "steer_bears", 100_000).await;
        let config = |limit: &str| format!("{OPEN_GATE}[limits]\n{limit}\n");
        let project = project.config(&config(limit));
        let (mut client, mut old) = (database.client().await, database.client().await);
        // A snapshot, a statement that runs, one that waits for a lock, and rows that are dead.
        client.script("UPDATE users SET id = id WHERE id < 1000").await.expect("dead rows");
        old.script(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM users WHERE id = 99999 FOR UPDATE",
        )
        .await
        .expect("a lock");
        let mut waiter = database.client().await;
        let waits = tokio::spawn(async move {
            waiter.run("UPDATE users SET username = 'late' WHERE id = 99999", &[]).await
        });
        tokio::time::sleep(Duration::from_secs(2)).await;
        let child = started(&project, "backfill --pace gentle");
        let fill = says(&project, limit, held(by));
        assert!(fill["held_by"].as_str().expect("a text").contains("its limit"), "{fill}");
        let then = ask(&mut *client, FILLED).await;
        assert_ne!(then, "100000", "{limit}: it was too late");
        old.script("COMMIT").await.expect("let go");
        waits.await.expect("no panic").expect("its turn");
        let name = limit.split(' ').next().expect("a name");
        project.write("zdmig.toml", &config(&format!("{name} = \"off\"")));
        let (code, err) = ended(child);
        assert_eq!(code, Some(0), "{err}");
        assert_eq!(ask(&mut *client, WRONG).await, "0");
    }
}

/// A role that may not see what others do is told so once, and its backfill goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_sees_little_is_told_once() {
    let database = Database::postgres("steer_role").await;
    let role = unique("steer_owner");
    let name = database.url.rsplit('/').next().expect("a name");
    let owned = format!(
        "CREATE ROLE {role} LOGIN; ALTER DATABASE \"{name}\" OWNER TO {role};
         ALTER SCHEMA public OWNER TO {role}"
    );
    database.script(&owned).await;
    let url = database.url.replace("postgres@", &format!("{role}@"));
    let mut owner = attach(&url, "test").await.client;
    owner
        .script(
            "CREATE TABLE users (id bigint PRIMARY KEY, username text);
             INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 100000) g; ANALYZE users",
        )
        .await
        .expect("rows");
    let project = Project::at(&url)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(OPEN_GATE);
    project.run("expand").done();
    let ran = project.run("backfill --pace gentle").done();
    let told = format!("GRANT pg_monitor TO {role}");
    assert_eq!(ran.err.matches(&told).count(), 1, "{}", ran.err);
    drop((owner, database.client().await));
    let mut admin = attach(&server(), "test").await.client;
    let gone = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
    admin.script(&gone).await.expect("gone");
    admin.script(&format!("DROP ROLE {role}")).await.expect("gone");
}

/// Whoever waits for a row of a chunk that takes long is let through.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_chunk_is_let_through() {
    let (database, project) = renamed("postgres", "steer_through", 400).await;
    let mut client = database.client().await;
    // The first chunk takes ten seconds.
    database
        .script(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                 $$BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END$$;
             CREATE TRIGGER slow BEFORE UPDATE ON users FOR EACH ROW
                 WHEN (NEW.id < 300) EXECUTE FUNCTION slow()",
        )
        .await;
    let child = started(&project, "backfill");
    let working = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'
                      AND datname = current_database()";
    while ask(&mut *client, working).await == "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.script("SET statement_timeout = '5s'").await.expect("set");
    let write = "UPDATE users SET username = 'meanwhile' WHERE id = 1";
    client.run(write, &[]).await.expect("it is let through");
    client.script("RESET statement_timeout; DROP TRIGGER slow ON users").await.expect("faster");
    let (code, err) = ended(child);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(ask(&mut *client, WRONG).await, "0");
    assert_eq!(ask(&mut *client, "SELECT email FROM users WHERE id = 1").await, "meanwhile");
}

/// In another journal mode than WAL readers and chunks wait for each other, and it says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_readers_wait_is_told() {
    let (database, project) = renamed("sqlite", "steer_journal", 100_000).await;
    database.script("PRAGMA journal_mode = DELETE").await;
    let ran = project.run("backfill --pace gentle").done();
    ran.says(&["warning:", "journal mode `delete`", "PRAGMA journal_mode = WAL"]);
    let (_database, project) = renamed("sqlite", "steer_journal", 100_000).await;
    let ran = project.run("backfill --pace gentle").done();
    assert!(!ran.err.contains("journal mode"), "{}", ran.err);
}
