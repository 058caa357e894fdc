//! A proof looks at every row, mends what it finds, and goes on where it was.

use std::process::Stdio;
use std::time::Duration;

use zdmig::dialect::Client;

use crate::support::{Database, OPEN_GATE, Project};

async fn ask(client: &mut dyn Client, query: &str) -> String {
    client.rows(query, &[]).await.expect("an answer")[0][0].clone().unwrap_or_default()
}

async fn until(client: &mut dyn Client, query: &str) {
    for _ in 0..1_500 {
        if ask(client, query).await == "true" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {query}");
}

/// What somebody breaks behind the fill, past the triggers, is found, mended and counted.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_behind_a_fill_is_mended() {
    let database = Database::postgres("prove_mend").await;
    database
        .script(
            "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL);
             INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 200000) g; ANALYZE;",
        )
        .await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(OPEN_GATE);
    project.run("expand").done();
    let mut command = project.command("backfill -v --pace gentle");
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    let mut client = database.client().await;
    let filled = "SELECT count(*) = 5 FROM users WHERE id <= 5 AND email = username";
    until(&mut *client, filled).await;
    client
        .script(
            "SET session_replication_role = replica;
             UPDATE users SET email = 'broken' WHERE id <= 5; RESET session_replication_role",
        )
        .await
        .expect("past the triggers");
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    for words in ["found 5 rows and filled them; it looks again", "200,000 rows looked at"] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    let wrong = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
    assert_eq!(ask(&mut *client, wrong).await, "0");
    let counted = "SELECT detail->>'rows' FROM zdmig.journal
                    WHERE kind = 'finished' AND step LIKE '%/prove-%'";
    assert_eq!(ask(&mut *client, counted).await, "5");
}

/// A proof that is killed goes on where it was: every row is looked at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_proof_goes_on_where_it_was() {
    const ROWS: &str = "10000";
    let database = Database::postgres("prove_kill").await;
    database
        .script(&format!(
            "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL);
             INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, {ROWS}) g; ANALYZE;
             CREATE FUNCTION slow(of text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
                 $$BEGIN PERFORM pg_sleep(0.0003); RETURN lower(of); END$$"
        ))
        .await;
    let project = Project::new(&database)
        .migration(
            "1_change",
            "-- zdmig:reverse users.username = email
             ALTER TABLE users ADD COLUMN email text;
             UPDATE users SET email = slow(username);
             ALTER TABLE users DROP COLUMN username;",
        )
        .config(OPEN_GATE);
    project.run("expand").done();
    let mut command = project.command("backfill --pace fast");
    let mut child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    let mut client = database.client().await;
    let proof = "FROM zdmig.fill f LEFT JOIN zdmig.part p USING (step) WHERE step LIKE '%/prove-%'";
    until(&mut *client, &format!("SELECT coalesce(max(f.seen + p.seen), 0) > 0 {proof}")).await;
    child.kill().expect("killed");
    child.wait().expect("gone");
    let seen = ask(&mut *client, &format!("SELECT max(f.seen + p.seen)::text {proof}")).await;
    let seen: u32 = seen.parse().expect("a number");
    assert!((1..10_000).contains(&seen), "{seen}");
    project.run("backfill --wait 30s").done();
    assert_eq!(ask(&mut *client, &format!("SELECT max(f.seen)::text {proof}")).await, ROWS);
}
