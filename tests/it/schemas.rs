//! A schema a tenant: one migration in each of them.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::{Database, OPEN_GATE, Project, Ran, ask, attach, until};

/// Tenants with a table of users each, and what is none of them.
async fn tenants(name: &str, count: u32) -> (Database, Project) {
    let database = Database::postgres(name).await;
    let mut sql = String::from(
        "CREATE TABLE users (id bigint PRIMARY KEY, username text);
         INSERT INTO users VALUES (1, 'public');
         CREATE SCHEMA other; CREATE TABLE other.users (LIKE users INCLUDING ALL);",
    );
    for tenant in 1..=count {
        sql += &format!(
            "CREATE SCHEMA tenant_{tenant:02};
             CREATE TABLE tenant_{tenant:02}.users (LIKE users INCLUDING ALL);
             INSERT INTO tenant_{tenant:02}.users
                    SELECT g, 't{tenant:02} ' || g FROM generate_series(1, {tenant}) g;"
        );
    }
    database.script(&sql).await;
    let project = Project::new(&database)
        .config(OPEN_GATE)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    (database, project)
}

async fn columns(database: &Database) -> String {
    let mut client = database.client().await;
    let columns = "SELECT string_agg(table_schema || '.' || column_name, ' ' ORDER BY 1, 2)
                     FROM (SELECT table_schema, column_name FROM information_schema.columns
                            WHERE table_name = 'users' AND column_name IN ('username', 'email')
                              AND table_schema <> 'pg_catalog') c (table_schema, column_name)";
    let columns = columns.replace("ORDER BY 1, 2", "ORDER BY table_schema, column_name");
    ask(&mut *client, &columns).await
}

fn json(project: &Project, line: &str, code: i32) -> Value {
    let ran = project.run(&format!("{line} --format json")).exits(code);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_schema_is_led_through_all_phases() {
    let (database, project) = tenants("schemas", 9).await;
    database
        .script(
            "CREATE SCHEMA \"tenant_ Odd, \"\"x\"\" \\ ü\";
             CREATE TABLE \"tenant_ Odd, \"\"x\"\" \\ ü\".users (LIKE users INCLUDING ALL);
             INSERT INTO \"tenant_ Odd, \"\"x\"\" \\ ü\".users VALUES (1, 'odd');
             CREATE SCHEMA \"tenantXother\"",
        )
        .await;
    let all = "--schemas tenant_*";
    let ran = project.run(&format!("plan {all}")).done();
    ran.says(&["1_rename@tenant_01", "tenant_05", "plan in 10 schemas: 10 done"]);
    let ran = project.run(&format!("expand {all}")).done();
    ran.says(&["1_rename@tenant_01: expanded", "expand in 10 schemas: 10 done"]);
    project.run(&format!("expand {all}")).done().says(&["10 done, 10 of which had nothing to do"]);
    let status = project.run(&format!("status {all}")).done();
    status.says(&["in 10 schemas", "zdmig backfill 1_rename --schemas 'tenant_*'"]);
    let states = json(&project, "status", 0);
    let lines = states["migrations"].as_array().expect("a list");
    assert!(lines.iter().all(|line| line["state"] == "expanded") && lines.len() == 10, "{states}");
    let filled = json(&project, &format!("backfill {all} --canary tenant_05 --parallel 2"), 0);
    let rows: u64 = filled["schemas"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["answers"][0]["rows"].as_u64().expect("rows"))
        .sum();
    assert_eq!(rows, (1..=9).sum::<u64>() + 1, "{filled}");
    project.run(&format!("wait {all} --for backfilled --timeout 0s")).done();
    project.run(&format!("contract {all}")).done();
    let columns = columns(&database).await;
    assert!(columns.starts_with("other.username public.username tenant_"), "{columns}");
    assert_eq!((columns.matches("email").count(), columns.matches("username").count()), (10, 2));
    let mut client = database.client().await;
    let odd = "SELECT email FROM \"tenant_ Odd, \"\"x\"\" \\ ü\".users";
    assert_eq!(ask(&mut *client, odd).await, "odd");
    let last = "SELECT email FROM tenant_09.users WHERE id = 9";
    assert_eq!(ask(&mut *client, last).await, "t09 9");
    assert_eq!(database.leftovers().await, Vec::<String>::new());
    project.run(&format!("status {all}")).done().says(&["done", "in 10 schemas"]);
    // What is in no pattern is told, and a typo in one is no success.
    project.run("expand --schemas tennant_*").exits(2).says(&["no schema fits `tennant_*`"]);
    project.run("gate 1 --schemas tenant_*").exits(2).says(&["does not go over schemas"]);
    project.run(&format!("expand {all} --canary nobody")).exits(2).says(&["canary `nobody`"]);
}

/// The canary goes first and alone; where it fails the others are not begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_holds_the_others_back() {
    let (database, project) = tenants("canary", 6).await;
    project.write("zdmig.toml", &format!("schemas = \"tenant_*\"\n{OPEN_GATE}"));
    database.script("ALTER TABLE tenant_04.users RENAME COLUMN username TO login").await;
    let ran = project.run("expand --canary tenant_04").exits(10);
    ran.says(&[
        "expand in 6 schemas: 0 done, 1 not, 5 not begun",
        "tenant_04 (10): ",
        "same command",
    ]);
    let mut client = database.client().await;
    let ours = client.rows("SELECT 1 FROM zdmig.journal", &[]).await;
    assert!(ours.is_err(), "something was written");
    // In one of many: what runs is brought to an end, and no other is begun.
    let failed = json(&project, "expand --parallel 1", 10);
    assert_eq!(failed["not_begun"], 2, "{failed}");
    database.script("ALTER TABLE tenant_04.users RENAME COLUMN login TO username").await;
    project.run("expand").done().says(&["6 done, 3 of which had nothing to do"]);
    // One of them alone, by its name.
    project.run("rollback 1_rename@tenant_02").done().says(&["1_rename@tenant_02: rolled back"]);
    project.run("status").done().says(&["in 5 schemas", "in tenant_02", "pending"]);
    let columns = columns(&database).await;
    assert!(columns.contains("tenant_01.email") && !columns.contains("tenant_02.email"));
    project.run("expand 1_rename@tenant_02").done();
    project.run("history 1_rename@tenant_02").done().says(&["rolled back", "planned"]);
}

/// A tenant whose table is held is busy, the others are done, and the same command ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_busy_keeps_no_other_waiting() {
    let (database, project) = tenants("busy_tenant", 4).await;
    let mut slow = attach(&database.url, "slow report").await.client;
    slow.script("BEGIN; SELECT 1 FROM tenant_02.users").await.expect("it holds the table");
    let line = "expand --schemas tenant_* --lock-timeout 100ms --lock-wait-max 1s";
    let ran = project.run(line).exits(14);
    ran.says(&["tenant_02 (14): no lock", "slow report", "3 done, 1 not"]);
    slow.script("COMMIT").await.expect("it lets go");
    project.run(line).done().says(&["4 done, 3 of which had nothing to do"]);
}

/// Two runners over the same schemas: each step is done once, and neither fails. Who works in
/// all of the database waits for those who work in one schema, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn two_runners_and_one_for_all() {
    let (database, project) = tenants("two_runners", 8).await;
    let start = || {
        let mut command = project.command("expand --schemas tenant_* --wait 60s");
        command.stdout(std::process::Stdio::piped()).spawn().expect("it starts")
    };
    for child in [start(), start()] {
        Ran::from("expand", child.wait_with_output().expect("it ends")).done();
    }
    let mut client = database.client().await;
    let twice = "SELECT count(*) FROM (SELECT step FROM zdmig.journal WHERE kind = 'finished'
                                        GROUP BY step HAVING count(*) > 1) s";
    assert_eq!(ask(&mut *client, twice).await, "0");
    let planned = "SELECT count(*) FROM zdmig.journal WHERE kind = 'planned'";
    assert_eq!(ask(&mut *client, planned).await, "8");
    // The lock's number is "zdmig", as `pg_locks` shows it.
    let mut other = attach(&database.url, "another").await.client;
    other.script("SELECT pg_advisory_lock_shared(x'7a646d6967'::bigint)").await.expect("shared");
    project.run("backfill --schemas tenant_*").done();
    project.run("expand --wait 0s").exits(14).says(&["another zdmig is at work"]);
    other.script("SELECT pg_advisory_unlock_all()").await.expect("let go");
    other.script("SELECT pg_advisory_lock(x'7a646d6967'::bigint)").await.expect("alone");
    project.run("contract --schemas tenant_* --wait 0s").exits(14);
    other.script("SELECT pg_advisory_unlock_all()").await.expect("let go");
    project.run("expand").done().says(&["1_rename: expanded"]);
}

/// Old and new code of two tenants write throughout, each with its own search path.
#[tokio::test(flavor = "multi_thread")]
async fn tenants_write_on() {
    let (database, project) = tenants("tenants_write", 2).await;
    let stop = CancellationToken::new();
    let writer = |tenant: &str, column: &'static str, from: u32| {
        let (url, tenant) = (database.url.clone(), tenant.to_owned());
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut client = attach(&url, "shop").await.client;
            let path = format!("SET search_path = {tenant}");
            client.script(&path).await.expect("a path");
            let mut id = from;
            while !stop.is_cancelled() {
                let insert = format!("INSERT INTO users (id, {column}) VALUES ({id}, '{tenant}')");
                client.script(&insert).await.expect("it writes");
                let update = format!("UPDATE users SET {column} = '{tenant} {id}' WHERE id = {id}");
                client.script(&update).await.expect("it writes");
                id += 1;
            }
            id - from
        })
    };
    let old = [writer("tenant_01", "username", 10_000), writer("tenant_02", "username", 10_000)];
    let mut client = database.client().await;
    let begun = "SELECT count(*) > 20 FROM tenant_02.users";
    until(&mut *client, begun).await;
    project.run("expand --schemas tenant_*").done();
    let new = CancellationToken::new();
    let newer = ["tenant_01", "tenant_02"].map(|tenant| {
        let (url, stop) = (database.url.clone(), new.clone());
        tokio::spawn(async move {
            let mut client = attach(&url, "shop").await.client;
            client.script(&format!("SET search_path = {tenant}")).await.expect("a path");
            let mut id = 20_000;
            while !stop.is_cancelled() {
                let insert = format!("INSERT INTO users (id, email) VALUES ({id}, '{tenant}')");
                client.script(&insert).await.expect("it writes");
                id += 1;
            }
            id - 20_000
        })
    });
    project.run("backfill --schemas tenant_*").done();
    stop.cancel();
    let mut written = Vec::new();
    for writer in old {
        written.push(writer.await.expect("no error"));
    }
    project.run("contract --schemas tenant_*").done();
    new.cancel();
    for (at, writer) in newer.into_iter().enumerate() {
        let count = written[at] + writer.await.expect("no error");
        let tenant = at + 1;
        let own = format!(
            "SELECT count(*) FROM tenant_{tenant:02}.users WHERE id >= 10000 AND email LIKE 'tenant_{tenant:02}%'"
        );
        assert_eq!(ask(&mut *client, &own).await, count.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_schemas_says_so() {
    let database = Database::sqlite().await;
    let project = Project::new(&database).migration("1_a", "CREATE TABLE a (id integer);");
    project.run("expand --schemas tenant_*").exits(2).says(&["SQLite has no schemas"]);
    project.run("expand 1_a@tenant").exits(2).says(&["SQLite has no schemas"]);
    project.write("migrations/2_b@c.sql", "");
    project.run("expand").exits(2).says(&["2_b@c", "stands before a schema's name"]);
}
