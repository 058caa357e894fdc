//! A fill goes over tables of every kind, whatever clients do to their rows meanwhile.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zdmig::dialect::Client;

use crate::support::{Database, OPEN_GATE, Project, ask, renamed, until};

/// Rows that are not as they should be.
const WRONG: &str = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
/// Rows that the fill left out and its proof found.
const MENDED: &str = "SELECT sum((detail->>'rows')::int)::text FROM zdmig.journal
                       WHERE kind = 'finished' AND step LIKE '%/prove-%'";
const ADD: &str = "ALTER TABLE users ADD COLUMN email text;
                   UPDATE users SET email = username WHERE email IS NULL;";
const RENAME: &str = "ALTER TABLE users RENAME COLUMN username TO email;";

/// A table with rows, and a change of it that is expanded.
async fn expanded(name: &str, schema: &str, migration: &str) -> (Database, Project) {
    let database = Database::postgres(name).await;
    database.script(schema).await;
    let project = Project::new(&database).migration("1_change", migration).config(OPEN_GATE);
    project.run("expand").done();
    (database, project)
}

/// Moves, changes, adds and removes rows until it is told to stop; how often it wrote.
async fn disturb(mut client: Box<dyn Client>, stop: Arc<AtomicBool>, id: &str) -> u64 {
    let mut writes = 0;
    while !stop.load(Ordering::Relaxed) {
        let n = writes % 4_000;
        // What is written of another column moves the row to where the fill has been or will be.
        let statements = [
            format!("UPDATE users SET bio = repeat('y', {}) WHERE n % 4001 = {n}", 50 + n % 300),
            format!("UPDATE users SET username = 'changed {writes}' WHERE n = {n}"),
            format!("UPDATE users SET email = 'by new code {writes}' WHERE n = {}", n + 5),
            format!("DELETE FROM users WHERE n = {}", n + 9),
            format!(
                "INSERT INTO users ({id}n, username) VALUES ({}{}, 'added')",
                match id {
                    "" => String::new(),
                    _ => "DEFAULT, ".to_owned(),
                },
                100_000 + writes
            ),
        ];
        for sql in statements {
            client.run(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        writes += 1;
    }
    writes
}

/// Every kind of key, and none: at the end every row that is there has its value.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_missed_whatever_the_key() {
    let fill = "INSERT INTO users (n, username, bio)
                SELECT g, 'user ' || g, repeat('x', 150) FROM generate_series(1, 30000) g;
                CREATE INDEX users_n ON users (n); ANALYZE users;";
    for (name, columns, id) in [
        ("nokey", "", ""),
        ("serial", "id bigserial PRIMARY KEY, ", "id, "),
        ("uuid", "id uuid PRIMARY KEY DEFAULT gen_random_uuid(), ", "id, "),
        (
            "text",
            "id text COLLATE \"en-x-icu\" PRIMARY KEY DEFAULT 'é' || gen_random_uuid(), ",
            "id, ",
        ),
        (
            "composite",
            "\"a \"\"b\" uuid DEFAULT gen_random_uuid(), id int DEFAULT 1, PRIMARY KEY (id, \"a \"\"b\"), ",
            "id, ",
        ),
    ] {
        let schema = format!(
            "CREATE TABLE users ({columns}n int, username text NOT NULL, bio text); {fill}"
        );
        no_row_is_missed(&format!("walk_{name}"), &schema, RENAME, id).await;
    }
    let parts = format!(
        "CREATE TABLE users (n int, username text NOT NULL, bio text) PARTITION BY RANGE (n);
         CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (10000);
         CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM (10000) TO (20000)
             PARTITION BY HASH (n);
         CREATE TABLE \"users 2 a\" PARTITION OF users_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE users_2_b PARTITION OF users_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         CREATE TABLE users_3 PARTITION OF users DEFAULT; {fill}"
    );
    no_row_is_missed("walk_parts", &parts, ADD, "").await;
}

async fn no_row_is_missed(name: &str, schema: &str, migration: &str, id: &str) {
    let (database, project) = expanded(name, schema, migration).await;
    let stop = Arc::new(AtomicBool::new(false));
    let client = || async { database.client().await };
    let clients = [client().await, client().await].map(|client| {
        let (stop, id) = (stop.clone(), id.to_owned());
        tokio::spawn(async move { disturb(client, stop, &id).await })
    });
    project.run("backfill --workers 2").done();
    stop.store(true, Ordering::Relaxed);
    for one in clients {
        assert!(one.await.expect("no error") > 10, "{name}");
    }
    let mut client = database.client().await;
    // Of a column that is only filled where it is NULL, code may have written anything else.
    let wrong =
        if migration == ADD { "SELECT count(*) FROM users WHERE email IS NULL" } else { WRONG };
    assert_eq!(ask(&mut *client, wrong).await, "0", "{name}");
    assert_eq!(ask(&mut *client, MENDED).await, "0", "{name}: the fill missed some");
    let left =
        "SELECT (SELECT count(*) FROM zdmig.part) + count(*) FROM zdmig.fill WHERE NOT complete";
    assert_eq!(ask(&mut *client, left).await, "0", "{name}");
}

async fn with_rows(name: &str, rows: u32) -> (Database, Project) {
    let fill = format!(
        "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL, bio text);
         INSERT INTO users SELECT g, 'user ' || g, repeat('x', 150)
                   FROM generate_series(1, {rows}) g; ANALYZE users;"
    );
    expanded(name, &fill, RENAME).await
}

/// Rows that somebody holds are left for later, and the others are filled meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_stops_no_other() {
    let (database, project) = with_rows("walk_locked", 50_000).await;
    let (mut holder, mut client) = (database.client().await, database.client().await);
    holder.script("BEGIN; SELECT FROM users WHERE id = 777 FOR UPDATE").await.expect("a lock");
    let child = project.command("backfill").stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    let child = child.expect("it starts");
    until(&mut *client, "SELECT count(*) = 49999 FROM users WHERE email = username").await;
    // Nobody else waits for the one who waits.
    client.run("UPDATE users SET username = 'meanwhile' WHERE id = 778", &[]).await.expect("free");
    holder.script("COMMIT").await.expect("let go");
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ask(&mut *client, WRONG).await, "0");
}

/// VACUUM FULL puts every row elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_written_anew_is_gone_over_again() {
    let (database, project) = with_rows("walk_anew", 200_000).await;
    let mut client = database.client().await;
    // What is behind comes to lie where the fill has been.
    client.run("DELETE FROM users WHERE id <= 60000", &[]).await.expect("room");
    let mut slow = project.command("backfill --pace gentle");
    let mut child = slow.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    until(&mut *client, "SELECT count(*) > 10000 FROM users WHERE email = username").await;
    client.run("VACUUM FULL users", &[]).await.expect("written anew");
    let left = ask(&mut *client, WRONG).await;
    assert_ne!(left, "0", "it was too late");
    let ended = child.wait().expect("it ends");
    assert!(ended.success());
    assert_eq!(ask(&mut *client, WRONG).await, "0");
    // The fill itself found them, and not its proof.
    assert_eq!(ask(&mut *client, MENDED).await, "0");
}

/// Partitions come and go, also while they are filled.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_may_be_dropped_meanwhile() {
    let schema = "CREATE TABLE users (n int, username text NOT NULL) PARTITION BY RANGE (n);
                  CREATE TABLE users_a PARTITION OF users FOR VALUES FROM (0) TO (50000);
                  CREATE TABLE users_b PARTITION OF users FOR VALUES FROM (50000) TO (100000);
                  CREATE TABLE users_c PARTITION OF users FOR VALUES FROM (100000) TO (150000);
                  INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 149999) g;
                  ANALYZE users;";
    let (database, project) = expanded("walk_dropped", schema, ADD).await;
    let mut slow = project.command("backfill --pace gentle");
    let child = slow.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    let mut client = database.client().await;
    until(&mut *client, "SELECT count(*) > 5000 FROM users WHERE email = username").await;
    client.run("DROP TABLE users_b", &[]).await.expect("a drop");
    client.run("ALTER TABLE users_c RENAME TO users_d", &[]).await.expect("a rename");
    assert_ne!(ask(&mut *client, WRONG).await, "0", "it was too late");
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("it begins again"), "{said}");
    assert_eq!(ask(&mut *client, WRONG).await, "0");
}

/// Passes are no use while somebody keeps what they replace: it says so and goes on without.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_snapshot_turns_it() {
    let (database, project) = with_rows("walk_snapshot", 150_000).await;
    let mut old = database.client().await;
    old.script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
        .await
        .expect("old");
    let ran = project.run("backfill --pace fast").done();
    assert!(ran.err.contains("one pass from here"), "{}", ran.err);
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, WRONG).await, "0");
}

/// Four workers, of which one is killed every half second.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_lose_nothing() {
    const ROWS: u64 = 300_000;
    let (database, project) = with_rows("walk_workers", 300_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut killer = database.client().await;
    let stopped = stop.clone();
    let killing = tokio::spawn(async move {
        let mut killed = 0;
        while !stopped.load(Ordering::Relaxed) {
            // A worker is a session that holds a part.
            let kill = "SELECT count(pg_terminate_backend(pid))::text FROM (
                            SELECT pid FROM zdmig.part WHERE pid IS NOT NULL
                             ORDER BY random() LIMIT 1) AS one";
            killed += ask(&mut *killer, kill).await.parse::<u32>().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        killed
    });
    let mut runs = 0;
    loop {
        let ran = project.run("backfill --workers 4 --wait 30s");
        runs += 1;
        if ran.code == Some(0) {
            break;
        }
        assert!(runs < 50, "{}", ran.err);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(killing.await.expect("no panic") >= 1);
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, WRONG).await, "0");
    let filled = "SELECT detail->>'rows' FROM zdmig.journal
                   WHERE kind = 'finished' AND step LIKE '%/fill-%'";
    assert_eq!(ask(&mut *client, filled).await, ROWS.to_string(), "each row once, by whomever");
}

/// What was filled the server knows at once, and an interrupted run gathers it later.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_there_when_a_column_is_filled() {
    let (database, project) = renamed("postgres", "walks_analyze", 5_000).await;
    let mut client = database.client().await;
    let known = "SELECT count(*) FROM pg_stats WHERE tablename = 'users' AND attname = 'email'";
    assert_eq!(ask(&mut *client, known).await, "0");
    project.run("backfill").done().says(&["✓ analyze-public.users"]);
    assert_eq!(ask(&mut *client, known).await, "1");
}

/// Statistics are worth no waiting: whoever is at work on the table gathers them, or a person does.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_left_to_whoever_is_in_the_way() {
    let rows = "CREATE TABLE users (id bigint PRIMARY KEY, username text);
                INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 100) g; ANALYZE;";
    let (database, project) = expanded("walks_statistics", rows, ADD).await;
    let mut vacuum = database.client().await;
    vacuum.script("BEGIN; LOCK TABLE users IN SHARE UPDATE EXCLUSIVE MODE").await.expect("held");
    let ran = project.run("backfill").done();
    ran.says(&["warning:", "ANALYZE \"public\".\"users\" (\"email\")"]);
    vacuum.script("COMMIT").await.expect("let go");
    project.run("backfill").done().says(&["nothing to backfill"]);
}
