//! Somebody holds the table for half a minute: we wait without being in anybody's way.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Database, OPEN_GATE, Project, Ran, attach, until};

/// How long the reader holds the table.
const HELD: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reader_is_waited_for_and_named_and_nobody_waits_behind_us() {
    let database = Database::postgres("locks").await;
    database
        .script(
            "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL);
             INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 100) g",
        )
        .await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    let mut reader = attach(&database.url, "the long report").await.client;
    reader.script("BEGIN; SELECT count(*) FROM users").await.expect("a reader");
    let held = Instant::now();

    let done = Arc::new(AtomicBool::new(false));
    let url = database.url.clone();
    let stop = done.clone();
    let application = tokio::spawn(async move {
        let mut client = attach(&url, "shop@1").await.client;
        let mut longest = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            client.run("UPDATE users SET username = 'x' WHERE id = 1", &[]).await.expect("a write");
            longest = longest.max(begun.elapsed());
            let begun = Instant::now();
            client.rows("SELECT username FROM users WHERE id = 2", &[]).await.expect("a read");
            longest = longest.max(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        longest
    });

    let child = project
        .command("expand")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    tokio::time::sleep(HELD.saturating_sub(held.elapsed())).await;
    reader.script("COMMIT").await.expect("the reader ends");
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    let ran = Ran::from("expand", output.expect("joined").expect("it ends"));
    done.store(true, Ordering::Relaxed);
    let longest = application.await.expect("the application ends");
    ran.done().says(&[
        "waits for its lock",
        "the long report",
        "idle in transaction",
        "SELECT count(*)",
    ]);
    // Each statement may wait behind one try of 500 ms, and the machine may be slow; the
    // reader held the table for sixty times that.
    assert!(longest < Duration::from_millis(1_500), "the application waited {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_ends_with_14_and_the_same_command_goes_on() {
    let database = Database::postgres("budget").await;
    database.script("CREATE TABLE users (id bigint PRIMARY KEY, username text)").await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    let mut holder = attach(&database.url, "the holder").await.client;
    holder.script("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE").await.expect("held");
    project
        .run("expand --lock-timeout 100ms --lock-wait-max 1s")
        .exits(14)
        .says(&["the holder", "go on with: zdmig expand 1_rename"]);
    holder.script("COMMIT").await.expect("let go");
    project.run("expand").done().says(&["expanded"]);
}

/// An index build that another transaction holds up leaves no invalid index behind.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_build_waits_for_old_transactions_and_is_valid() {
    let database = Database::postgres("build").await;
    database.script("CREATE TABLE t (id bigint PRIMARY KEY, a int)").await;
    let project = Project::new(&database).migration("1_index", "CREATE INDEX t_a ON t (a);");
    let mut writer = attach(&database.url, "a slow writer").await.client;
    writer.script("BEGIN; INSERT INTO t VALUES (1, 1)").await.expect("a writer");
    let child = project
        .command("expand --lock-timeout 100ms")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    tokio::time::sleep(Duration::from_secs(2)).await;
    writer.script("COMMIT").await.expect("the writer ends");
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    let ran = Ran::from("expand", output.expect("joined").expect("it ends"));
    ran.done();
    let query = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    let rows = database.client().await.rows(query, &[]).await.expect("a count");
    assert_eq!(rows[0][0].as_deref(), Some("0"));
}

/// An index that is built beside others waits for all who were there before it: it says at what it
/// is, and for whom it waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_says_how_far_it_is_and_for_whom_it_waits() {
    let database = Database::postgres("locks_build").await;
    database
        .script(
            "CREATE TABLE users (id bigint PRIMARY KEY, name text);
             INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 1000) g; ANALYZE",
        )
        .await;
    let project = Project::new(&database)
        .migration("1_index", "CREATE INDEX users_name ON users (name);")
        .config(OPEN_GATE);
    let mut writer = attach(&database.url, "slow job").await.client;
    writer.script("BEGIN; UPDATE users SET name = name WHERE id = 1").await.expect("it writes");
    let mut command = project.command("expand");
    command.stderr(Stdio::piped()).stdout(Stdio::null());
    let child = command.spawn().expect("it starts");
    let mut client = database.client().await;
    let waits =
        "SELECT count(*) > 0 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'";
    until(&mut *client, waits).await;
    // It looks twice a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    writer.script("COMMIT").await.expect("it ends");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("build-users_name: waiting for writers before build"), "{said}");
    assert!(said.contains("waits for pid") && said.contains("slow job"), "{said}");
}

/// Who locks a table out for everybody is named, also where the catalogue alone is read.
#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_the_catalogue_from_being_read_is_named() {
    let database = Database::postgres("catalogue").await;
    database
        .script("CREATE TABLE users (id int PRIMARY KEY, name text); CREATE TABLE other ()")
        .await;
    let project =
        Project::new(&database).migration("1_a", "ALTER TABLE users RENAME COLUMN name TO title;");
    let mut holder = attach(&database.url, "a slow change").await.client;
    holder.script("BEGIN; LOCK TABLE other").await.expect("held");
    let ran = project.run("plan").exits(14);
    ran.says(&[
        "no lock within 3000 ms",
        "a slow change",
        "idle in transaction",
        "same command again",
    ]);
}
