//! INSERT of what a query finds: in chunks where that is the same.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Database, OPEN_GATE, Project, ask, until};

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, score int);";

async fn with_users(name: &str, rows: u32, also: &str, copy: &str) -> (Database, Project) {
    let database = Database::postgres(name).await;
    let schema = format!(
        "{USERS} INSERT INTO users SELECT g, 'User ' || g, g % 10 FROM generate_series(1, {rows}) g;
         {also} ANALYZE;"
    );
    database.script(&schema).await;
    let project = Project::new(&database).migration("1_copy", copy).config(OPEN_GATE);
    (database, project)
}

/// Nothing of the table that takes them tells whether a row is there already: only the watermark.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_has_each_row_once() {
    let copy =
        "INSERT INTO archive (id, name) SELECT u.id, lower(u.name) FROM users u WHERE u.score < 5;";
    let archive = "CREATE TABLE archive (id bigint, name text);";
    let (database, project) = with_users("copies_kill", 200_000, archive, copy).await;
    project.run("plan").done().says(&["copy-public.archive", "in chunks along the key of"]);
    project.run("expand").done();
    let mut client = database.client().await;
    let some = "SELECT (count(*) > 5000)::text FROM archive";
    for _ in 0..2 {
        let mut command = project.command("backfill --pace gentle --wait 30s");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        until(&mut *client, some).await;
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
    let so_far: u32 = ask(&mut *client, "SELECT count(*) FROM archive").await.parse().expect("n");
    assert!(so_far < 100_000, "it was too late");
    let ran = project.run("backfill --pace fast --wait 30s --format json").done();
    let report: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(report["rows"], 100_000, "the rows of all runs: {}", ran.err);
    let each = "SELECT count(*) || ' ' || count(DISTINCT id) FROM archive
                 WHERE name = 'user ' || id AND id % 10 < 5";
    assert_eq!(ask(&mut *client, each).await, "100000 100000");
    assert_eq!(ask(&mut *client, "SELECT count(*) FROM archive").await, "100000");
}

/// A move to another table while a new version writes there already: what is there is newer.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_by_upsert_goes_beside_writers() {
    let copy = "INSERT INTO scores AS s SELECT id, score FROM users
                ON CONFLICT (user_id) DO NOTHING;";
    let scores = "CREATE TABLE scores (user_id bigint PRIMARY KEY, score int);";
    let (database, project) = with_users("copies_upsert", 60_000, scores, copy).await;
    project.run("expand").done();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2_i64)
        .map(|no| {
            let (stop, url) = (Arc::clone(&stop), database.url.clone());
            tokio::spawn(async move {
                let mut client = crate::support::attach(&url, "new version").await.client;
                let mut written = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let id = (written * 7_919 + no.unsigned_abs() * 31) % 60_000 + 1;
                    let sql = format!(
                        "INSERT INTO scores VALUES ({id}, 1000)
                         ON CONFLICT (user_id) DO UPDATE SET score = 1000"
                    );
                    client.run(&sql, &[]).await.expect("no writer fails");
                    written += 1;
                }
                written
            })
        })
        .collect();
    project.run("backfill").done();
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.expect("it ends");
    }
    assert!(written > 100, "the writers wrote {written} times");
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, "SELECT count(*) FROM scores").await, "60000");
    let wrong = "SELECT count(*) FROM scores s JOIN users u ON u.id = s.user_id
                  WHERE s.score NOT IN (1000, u.score)";
    assert_eq!(ask(&mut *client, wrong).await, "0");
    let kept = "SELECT count(*) > 0 FROM scores WHERE score = 1000";
    assert_eq!(ask(&mut *client, kept).await, "true");
}

/// What a rule of the other table refuses is left out and named, and tried again.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_other_table_refuses_are_named() {
    let copy = "INSERT INTO names SELECT id, name FROM users;";
    let names = "CREATE TABLE names (id bigint, name text CHECK (name <> 'User 77'));";
    let (database, project) = with_users("copies_fail", 1_000, names, copy).await;
    project.run("expand").done();
    project.run("backfill").exits(15).says(&["left 1 row out", "(77) of public.users", "names"]);
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, "SELECT count(*) FROM names").await, "999");
    database.script("UPDATE users SET name = 'User seventy-seven' WHERE id = 77").await;
    project.run("backfill --retry-failed").done();
    let each = "SELECT count(*) || ' ' || count(DISTINCT id) FROM names";
    assert_eq!(ask(&mut *client, each).await, "1000 1000");
}

/// What says something only as a whole is run as a whole, and said to be.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_one_row_is_not_cut() {
    let also = "CREATE TABLE t (id bigint, name text); INSERT INTO t VALUES (0, '');
                CREATE TABLE bare (id bigint, name text);
                CREATE TABLE keyed (id bigint PRIMARY KEY, name text); INSERT INTO keyed VALUES (0, '');
                CREATE VIEW seen AS SELECT id, name FROM users;
                CREATE AGGREGATE longest (text) (SFUNC = textcat, STYPE = text);
                CREATE FUNCTION twice(text) RETURNS text LANGUAGE sql AS 'SELECT $1 || $1';";
    let (database, project) = with_users("copies_whole", 10, also, "").await;
    for (query, cut) in [
        ("SELECT id, name FROM users", true),
        ("SELECT users.id, lower(name) FROM users WHERE name IN ('a', 'b') AND (id > 3)", true),
        ("SELECT id, CASE WHEN id > 3 THEN upper(name) END FROM users AS u", true),
        ("SELECT id, name FROM users ON CONFLICT DO NOTHING", true),
        ("SELECT id, name FROM users ON CONFLICT (id) DO UPDATE SET name = 'x'", false),
        ("SELECT id, twice(name) FROM users", false),
        ("SELECT DISTINCT id, name FROM users", false),
        ("SELECT max(id), name FROM users GROUP BY name", false),
        ("SELECT count(*), 'x' FROM users", false),
        ("SELECT 1, longest(name) FROM users", false),
        ("SELECT id, first_value(name) OVER (ORDER BY id) FROM users", false),
        ("SELECT id, name FROM users ORDER BY id LIMIT 3", false),
        ("SELECT u.id, v.name FROM users u, users v", false),
        ("SELECT u.id, v.name FROM users u JOIN users v ON u.id = v.id", false),
        ("SELECT id, name FROM users UNION SELECT id, name FROM users", false),
        ("SELECT id, name FROM users u WHERE NOT EXISTS (SELECT FROM t WHERE t.id = u.id)", false),
        ("SELECT id, name FROM users RETURNING id", false),
        ("SELECT id, name FROM ONLY users", false),
        ("SELECT id, name FROM users TABLESAMPLE SYSTEM (10)", false),
        ("SELECT id, name FROM seen", false),
        ("SELECT id, name FROM bare", false),
        ("SELECT id + 1, name FROM t", false),
        ("SELECT g, 'x' FROM generate_series(1, 3) g", false),
    ] {
        is_cut(&project, &format!("INSERT INTO t {query};"), cut);
    }
    // A row is found by what is given to it from the key of the table that is read.
    let upsert = "ON CONFLICT (id) DO UPDATE SET name = excluded.name;";
    for (columns, query, cut) in [
        ("(id, name)", "SELECT id, name FROM users", true),
        ("(name, id)", "SELECT u.name, u.id FROM users AS u", true),
        ("(id, name)", "SELECT score, name FROM users", false),
        ("(id, name)", "SELECT id + 1, name FROM users", false),
        ("", "SELECT id, name FROM users", false),
    ] {
        is_cut(&project, &format!("INSERT INTO keyed {columns} {query} {upsert}"), cut);
    }
    let back = "CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN INSERT INTO users VALUES (NEW.id + 100, 'x'); RETURN NEW; END$$;
                CREATE TRIGGER back BEFORE INSERT ON keyed FOR EACH ROW EXECUTE FUNCTION back();";
    database.script(back).await;
    is_cut(&project, "INSERT INTO keyed SELECT id, name FROM users;", false);
    is_cut(&project, "INSERT INTO seen SELECT id + 10, name FROM users;", false);
}

#[track_caller]
fn is_cut(project: &Project, statement: &str, cut: bool) {
    project.write("migrations/1_copy.sql", statement);
    let plan = project.run("plan");
    let cuts = plan.out.contains("in chunks along the key");
    let whole = plan.out.contains("whole-statement");
    assert_eq!((cuts, whole), (cut, !cut), "{statement}\n{}\n{}", plan.out, plan.err);
}

/// It is steered like any other fill.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_pauses_and_is_seen() {
    let copy = "INSERT INTO t SELECT id, name FROM users;";
    let also = "CREATE TABLE t (id bigint, name text);";
    let (database, project) = with_users("copies_pause", 50_000, also, copy).await;
    project.run("expand").done();
    project.run("pause --reason lunch").done();
    let mut command = project.command("backfill --workers 3");
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, "SELECT count(*) FROM t").await, "0");
    project.run("resume").done();
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("copy-public.t"), "{said}");
    let each = "SELECT count(*) || ' ' || count(DISTINCT id) FROM t";
    assert_eq!(ask(&mut *client, each).await, "50000 50000");
}

/// A table that is renamed for a moment stops a copy, and it goes on where it was: it must not
/// begin again.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_never_begins_again_by_itself() {
    let copy = "INSERT INTO t SELECT id, name FROM users;";
    let also = "CREATE TABLE t (id bigint, name text);";
    let (database, project) = with_users("copies_renamed", 50_000, also, copy).await;
    project.run("expand").done();
    let mut command = project.command("backfill --pace gentle");
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    let mut client = database.client().await;
    until(&mut *client, "SELECT (count(*) > 1000)::text FROM t").await;
    database.script("ALTER TABLE users RENAME TO u2").await;
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(15), "{said}");
    database.script("ALTER TABLE u2 RENAME TO users").await;
    project.run("backfill --pace fast").done();
    let each = "SELECT count(*) || ' ' || count(DISTINCT id) FROM t";
    assert_eq!(ask(&mut *client, each).await, "50000 50000");
}
