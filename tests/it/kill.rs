//! The process itself is killed, or told to stop, in the middle of a fill.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{Database, OPEN_GATE, Project};

const SCHEMA: &str = "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL);";

async fn filled(database: &Database) -> i64 {
    let query = "SELECT (coalesce((SELECT sum(rows) FROM zdmig.fill), 0) + coalesce((SELECT sum(rows) FROM zdmig.part), 0))::bigint";
    let rows = database.client().await.rows(query, &[]).await.expect("a watermark");
    rows[0][0].as_deref().unwrap_or("0").parse().expect("a number")
}

async fn with_rows(name: &str, rows: i64) -> (Database, Project) {
    let database = Database::postgres(name).await;
    database.script(SCHEMA).await;
    let fill = format!(
        "INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, {rows}) g; ANALYZE users"
    );
    database.script(&fill).await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(OPEN_GATE);
    project.run("expand").done();
    (database, project)
}

/// Waits until the fill is well under way, and not yet at its end.
async fn under_way(database: &Database, from: i64) -> i64 {
    for _ in 0..2_000 {
        let rows = filled(database).await;
        if rows > from {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the fill does not get on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_fill_goes_on_where_it_was() {
    const ROWS: i64 = 1_000_000;
    let (database, project) = with_rows("kill", ROWS).await;
    let mut child = project
        .command("backfill")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    under_way(&database, 100_000).await;
    child.kill().expect("killed");
    child.wait().expect("gone");
    // The server ends the session of a process that is gone, and with it its transaction.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let kept = filled(&database).await;
    assert!((100_000..ROWS).contains(&kept), "{kept}");
    let mut client = database.client().await;
    let done = client.rows("SELECT count(email) FROM users", &[]).await.expect("a count");
    assert_eq!(done[0][0].as_deref(), Some(kept.to_string().as_str()), "watermark and rows agree");

    let again = project.run("backfill --format json --wait 30s --pace fast").done();
    let report: serde_json::Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!(report["rows"], ROWS, "the rows of both runs");
    // Each row that was left was changed once, and no other: its version counts them.
    let twice = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
    assert_eq!(client.rows(twice, &[]).await.expect("a count")[0][0].as_deref(), Some("0"));
    client.rows("SELECT pg_stat_force_next_flush()", &[]).await.expect("flushed");
    let query = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'users'";
    for _ in 0..100 {
        let updates = client.rows(query, &[]).await.expect("statistics");
        let updates: i64 = updates[0][0].as_deref().unwrap_or("0").parse().expect("a number");
        assert!(
            updates <= ROWS + 10_000,
            "{updates} updates for {ROWS} rows: more than a chunk too many"
        );
        if updates >= ROWS {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the statistics never came");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_fill_ends_at_a_safe_point() {
    let (database, project) = with_rows("interrupt", 200_000).await;
    for signal in ["INT", "TERM"] {
        let child = project
            .command("backfill --pace gentle")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let from = filled(&database).await;
        under_way(&database, from + 100).await;
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("go on with: zdmig backfill 1_rename"), "{said}");
        project.run("status").done().says(&["backfilling", "filled"]);
    }
    project.run("backfill --pace fast").done();
    project.run("contract").done();
}
