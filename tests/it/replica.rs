//! A fill on servers of its own, from the binaries of the test server: a replica that falls behind,
//! a crash, a failover.

use std::process::Stdio;
use std::time::Duration;

use crate::own_server::{Server, fresh, run};
use crate::support::{OPEN_GATE, Project, ask, attach, until};

const OPTIONS: &str = "-c wal_keep_size=1GB";

/// A server and its streaming replica.
pub struct Pair {
    pub primary: Server,
    pub replica: Server,
    // Removed last.
    _folder: tempfile::TempDir,
}

impl Pair {
    /// Nothing where the test server is elsewhere, or was installed without its programs.
    async fn start() -> Option<Self> {
        Self::start_with(OPTIONS).await
    }

    pub async fn start_with(options: &str) -> Option<Self> {
        let (bin, folder) = fresh().await?;
        let at = |name: &str| folder.path().join(name);
        let text = |name: &str| at(name).display().to_string();
        let primary = Server::start(&bin, &at("one"), options);
        let (two, port) = (text("two"), primary.port.to_string());
        let backup =
            ["-D", &two, "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-R", "-c", "fast"];
        run(folder.path(), &bin.join("pg_basebackup"), &backup);
        let replica = Server::start(&bin, &at("two"), options);
        Some(Self { primary, replica, _folder: folder })
    }
}

/// A replica that stands still holds the fill, and once it has caught up the fill goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_falls_behind_holds_the_fill() {
    let Some(pair) = Pair::start().await else { return };
    let (primary, replica) = (&pair.primary, &pair.replica);
    let mut client = attach(&primary.url(), "test").await.client;
    client
        .script(
            "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL);
             INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 200000) g; ANALYZE;",
        )
        .await
        .expect("rows");
    let limits = "[limits]\nreplica_lag = \"1s\"\n";
    let project = Project::at(&primary.url())
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(&format!("{OPEN_GATE}{limits}"));
    project.run("expand").done();
    let mut standby = attach(&replica.url(), "test").await.client;
    standby.rows("SELECT pg_wal_replay_pause()", &[]).await.expect("it stands still");
    let mut command = project.command("backfill --pace gentle");
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");

    let mut tries = 0;
    loop {
        let status = project.run("status --format json").done().out;
        if status.contains("replica_lag of replica") {
            break;
        }
        tries += 1;
        assert!(tries < 300, "{status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It is eased off first, and then held.
    let mut then = String::new();
    for _ in 0..100 {
        let now = ask(&mut *client, "SELECT count(email) FROM users").await;
        if now == then {
            break;
        }
        then = now;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_ne!(then, "200000", "it was too late");
    project
        .run("status")
        .done()
        .says(&["held back: replica_lag of replica walreceiver at 127.0.0.1"]);
    standby.rows("SELECT pg_wal_replay_resume()", &[]).await.expect("it goes on");
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("waits: replica_lag") || said.contains("slower: replica_lag"), "{said}");
    let wrong = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
    assert_eq!(ask(&mut *client, wrong).await, "0");
}

/// The server crashes in the middle of a fill, comes back, and crashes for good: its replica takes
/// over. Each time the same command goes on, and no row is filled twice or missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_fill_goes_on_after_a_crash_and_after_a_failover() {
    const ROWS: i64 = 300_000;
    let Some(mut pair) = Pair::start().await else { return };
    let mut client = attach(&pair.primary.url(), "test").await.client;
    let rows = format!(
        "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL);
         INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, {ROWS}) g; ANALYZE;"
    );
    client.script(&rows).await.expect("rows");
    let rename = "ALTER TABLE users RENAME COLUMN username TO email;";
    let project = |url: &str| Project::at(url).migration("1_rename", rename).config(OPEN_GATE);
    let first = project(&pair.primary.url());
    first.run("expand").done();
    let mut last = 0;
    for _ in 0..2 {
        let mut client = attach(&pair.primary.url(), "test").await.client;
        let mut command = first.command("backfill --pace gentle --wait 30s");
        let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
        let further = format!("SELECT (count(email) > {last} + 20000)::text FROM users");
        until(&mut *client, &further).await;
        drop(client);
        pair.primary.stop();
        let ended = child.expect("it starts").wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{said}");
        assert!(said.contains("go on with: zdmig backfill 1_rename"), "{said}");
        pair.primary.start_again();
        let mut client = attach(&pair.primary.url(), "test").await.client;
        let filled: i64 =
            ask(&mut *client, "SELECT count(email) FROM users").await.parse().expect("a number");
        let noted = "SELECT ((SELECT coalesce(sum(rows), 0) FROM zdmig.fill)
                           + (SELECT coalesce(sum(rows), 0) FROM zdmig.part))::text";
        assert_eq!(ask(&mut *client, noted).await, filled.to_string(), "what is noted is there");
        assert!(filled > last && filled < ROWS, "{last}, {filled}");
        last = filled;
    }
    let mut standby = attach(&pair.replica.url(), "test").await.client;
    let caught_up = format!("SELECT (count(email) >= {last})::text FROM users");
    until(&mut *standby, &caught_up).await;
    pair.primary.stop();
    standby.rows("SELECT pg_promote()", &[]).await.expect("it takes over");
    let second = project(&pair.replica.url());
    let ran = second.run("backfill --pace fast --format json --wait 30s").done();
    let report: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(report["rows"], ROWS, "the rows of all runs: {}", ran.err);
    let wrong = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
    assert_eq!(ask(&mut *standby, wrong).await, "0");
}
