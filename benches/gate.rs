//! What the gate costs. `just bench-gate` boots a server and runs it.
//!
//! 1. Statements that are resolved in a second, by one thread.
//! 2. The look at who came to life, inside the lock, with 5,000 heartbeats.
//! 3. `zdmig gate` as a whole process, with 200 instances that are seen in three ways each.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark talks and may fail loudly"
)]
#![expect(clippy::cast_precision_loss, reason = "numbers for people")]

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use zdmig::dialect::{self, Client, DatabaseUrl, Dialect, Measure, Options};
use zdmig::gate::{Reader, Schema};
use zdmig::sql::{ColumnRef, Ident, TableName};

const INSTANCES: usize = 200;
const STATEMENTS: usize = 10_000;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn zdmig(folder: &Path, url: &str, line: &str) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_zdmig"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env("ZDMIG_DATABASE_URL", url)
        .output()
        .unwrap()
}

fn run(folder: &Path, url: &str, line: &str) {
    let ran = zdmig(folder, url, line);
    assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// 60 tables, and a rename in one of them that is filled.
async fn town(client: &mut dyn Client, folder: &Path, url: &str) {
    let mut sql = String::from(
        "DROP SCHEMA IF EXISTS zdmig CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public;
         CREATE TABLE users (id bigint PRIMARY KEY, username text, note text);",
    );
    for table in 0..60 {
        let _ = write!(
            sql,
            "CREATE TABLE t{table} (id bigint PRIMARY KEY, user_id bigint REFERENCES users, a text, b int);"
        );
    }
    client.script(&sql).await.unwrap();
    std::fs::create_dir(folder.join("migrations")).unwrap();
    let file = "ALTER TABLE users RENAME COLUMN username TO email;";
    std::fs::write(folder.join("migrations/1_rename.sql"), file).unwrap();
    let mut pods = Vec::new();
    for number in 0..INSTANCES {
        pods.push(format!(
            "{{\"kind\": \"Pod\", \"metadata\": {{\"name\": \"api-{number}\", \"labels\": \
             {{\"app.kubernetes.io/version\": \"v{}\"}}}}, \"status\": {{\"phase\": \"Running\"}}}}",
            number % 20
        ));
    }
    let list = format!("{{\"kind\": \"List\", \"items\": [{}]}}", pods.join(", "));
    std::fs::write(folder.join("pods.json"), list).unwrap();
    std::fs::write(folder.join("kubectl"), "#!/bin/sh\ncat pods.json\n").unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.join("kubectl"), open).unwrap();
    let config = "[[consumer]]\nname = \"api\"\nroles = [\"postgres\"]\n[[consumer.source]]\ntype = \"kubernetes\"\n\
                  kubectl = \"./kubectl\"\nnamespaces = [\"shop\"]\n";
    std::fs::write(folder.join("zdmig.toml"), config).unwrap();
    run(folder, url, "expand");
    run(folder, url, "backfill");
    for version in 0..20 {
        let items: Vec<_> = (0..60)
            .map(|table| format!("{{\"table\": \"t{table}\", \"read\": [\"id\", \"a\", \"b\"]}}"))
            .collect();
        let manifest = format!(
            "{{\"zdmig_usage\": 1, \"service\": \"api\", \"version\": \"v{version}\", \"complete\": true, \
             \"items\": [{{\"table\": \"users\", \"read\": [\"email\"]}}, {}]}}",
            items.join(", ")
        );
        std::fs::write(folder.join("usage.json"), manifest).unwrap();
        run(folder, url, "usage publish usage.json");
    }
}

async fn resolve(dialect: &dyn Dialect, url: &DatabaseUrl) {
    let options = Options {
        lock_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_secs(10),
        measure: Measure::Nothing,
        pooled: false,
        beside: None,
    };
    let catalog = dialect.connect(url, &options).await.unwrap().catalog().await.unwrap();
    let schema = Schema::new(&catalog, true);
    let mut reader = Reader::new(&schema, dialect.grammar());
    let users = TableName::new(Some("public"), "users");
    let target = ColumnRef::new(&users, &Ident::new("username"));
    // All of them name the table, so that the words alone rule nothing out.
    let statements: Vec<String> = (0..STATEMENTS)
        .map(|number| {
            let table = number % 60;
            match number % 4 {
                0 => format!("SELECT u.id, t.a FROM users u JOIN t{table} t ON t.user_id = u.id WHERE u.username = $1 AND t.b > {number}"),
                1 => format!("WITH c AS (SELECT * FROM users WHERE id = {number}) SELECT c.id, (SELECT count(*) FROM t{table} t WHERE t.user_id = c.id) FROM c ORDER BY c.note"),
                2 => format!("UPDATE users SET note = $1 WHERE id IN (SELECT user_id FROM t{table} WHERE b = {number}) RETURNING username"),
                _ => format!("INSERT INTO users (id, email, note) SELECT t.user_id, t.a, 'username {number}' FROM t{table} t ON CONFLICT (id) DO UPDATE SET note = EXCLUDED.note"),
            }
        })
        .collect();
    let begun = Instant::now();
    let uses = statements.iter().filter(|text| !reader.explain(text, &target).is_none()).count();
    let took = begun.elapsed();
    assert_eq!(uses, STATEMENTS / 4 * 3);
    let rate = STATEMENTS as f64 / took.as_secs_f64();
    println!(
        "| {STATEMENTS} statements resolved, one thread | {} | {rate:.0} a second |",
        millis(took)
    );
}

async fn in_the_lock(client: &mut dyn Client) {
    client
        .script(
            "INSERT INTO zdmig.heartbeat (env, service, version, instance)
             SELECT 'production', 'api', 'v' || g % 20, 'x' || g FROM generate_series(1, 5000) g;
             INSERT INTO zdmig.fence (env, migration, alive) VALUES ('production', '1_rename', '1 hour');
             INSERT INTO zdmig.cleared SELECT DISTINCT env, '1_rename', service, version FROM zdmig.heartbeat;
             ANALYZE zdmig.heartbeat",
        )
        .await
        .unwrap();
    let mut times = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        let found = client.rows("SELECT * FROM zdmig.entered('1_rename')", &[]).await.unwrap();
        times.push(begun.elapsed());
        assert!(found.is_empty(), "{found:?}");
    }
    println!("| the look inside the lock, 5,000 heartbeats | {} | |", millis(median(times)));
    client.script("TRUNCATE zdmig.heartbeat, zdmig.fence, zdmig.cleared").await.unwrap();
}

async fn gate(
    dialect: &dyn Dialect,
    (url, address): (&DatabaseUrl, &str),
    client: &mut dyn Client,
    folder: &Path,
) {
    let heartbeats = format!(
        "INSERT INTO zdmig.heartbeat (env, service, version, instance, last_seen)
         SELECT 'production', 'api', 'v' || g % 20, 'api-' || g, now() FROM generate_series(1, {INSTANCES}) g"
    );
    client.script(&heartbeats).await.unwrap();
    let mut open = Vec::new();
    for number in 0..INSTANCES {
        let name = format!("api@v{}#api-{number}", number % 20);
        open.push(dialect.attach(url, &name).await.unwrap().client);
    }
    let mut times = Vec::new();
    for _ in 0..11 {
        client.script("UPDATE zdmig.heartbeat SET last_seen = now()").await.unwrap();
        let begun = Instant::now();
        run(folder, address, "gate 1");
        times.push(begun.elapsed());
    }
    println!(
        "| `zdmig gate`, {INSTANCES} instances as pods, heartbeats and sessions, 20 versions | {} | |",
        millis(median(times))
    );
}

#[tokio::main]
async fn main() {
    let server = std::env::var("ZDMIG_TEST_POSTGRES_URL").expect("run it by `just bench-gate`");
    let dialect = dialect::named("postgres").unwrap();
    let admin = DatabaseUrl::new(server.clone()).unwrap();
    let mut admin = dialect.attach(&admin, "bench").await.unwrap().client;
    admin.script("DROP DATABASE IF EXISTS zdmig_bench_gate WITH (FORCE)").await.unwrap();
    admin.script("CREATE DATABASE zdmig_bench_gate").await.unwrap();
    let address = format!("{}/zdmig_bench_gate", server.rsplit_once('/').unwrap().0);
    let url = DatabaseUrl::new(address.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut client = dialect.attach(&url, "api@v1#bench").await.unwrap().client;
    town(&mut *client, folder.path(), &address).await;
    println!("| | median | |\n|---|---|---|");
    resolve(dialect, &url).await;
    in_the_lock(&mut *client).await;
    gate(dialect, (&url, &address), &mut *client, folder.path()).await;
    drop(client);
    admin.script("DROP DATABASE zdmig_bench_gate WITH (FORCE)").await.unwrap();
}
