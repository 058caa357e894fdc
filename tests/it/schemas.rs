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
    // The gate is asked once for those that are at the same.
    project.run(&format!("status -v {all}")).done().says(&["schemas", "tenant_*", "--schemas"]);
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
    // One by one, too.
    let ran = project.run(&format!("{line} --parallel 1")).exits(14);
    ran.says(&["3 done, 3 of which had nothing to do, 1 not"]);
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
    project.run("contract --schemas tenant_* --wait 0s --try").done();
    project.run("backfill --try --wait 0s").done();
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

/// A name that is no schema's, or one that the role may not use, never means `public`.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_schema_never_means_public() {
    let (database, project) = tenants("no_schema", 2).await;
    let role = crate::support::unique("stranger");
    let new =
        format!("CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {} TO {role}", name(&database));
    database.script(&new).await;
    for id in ["1_rename@tenannt_01", "1_rename@PUBLIC", "1_rename@zdmig", "1_rename@a/b"] {
        for verb in ["plan", "expand", "baseline"] {
            let ran = project.run(&format!("{verb} {id}")).exits(2);
            assert!(ran.err.contains("no schema") || ran.err.contains("has a `/`"), "{}", ran.err);
        }
    }
    let url = project.url().replace("postgres@", &format!("{role}@"));
    let ran = project.command("expand --schemas tenant_*").env("ZDMIG_DATABASE_URL", &url).output();
    let ran = Ran::from("expand", ran.expect("it runs")).exits(2);
    ran.says(&["may not use the schema `tenant_01`", "grant USAGE"]);
    // One that lacks the table while `public` has one.
    database.script("DROP TABLE tenant_02.users").await;
    project.run("expand --schemas tenant_*").exits(10).says(&["would change `public.users`"]);
    let columns = columns(&database).await;
    assert!(columns.contains("public.username") && !columns.contains("public.email"), "{columns}");
    database.script(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

fn name(database: &Database) -> String {
    format!("\"{}\"", database.url.rsplit('/').next().expect("a name"))
}

/// A version whose manifest is older than a tenant uses that tenant's tables too.
#[tokio::test(flavor = "multi_thread")]
async fn the_gate_knows_a_tenant_that_is_newer_than_the_manifest() {
    let (database, project) = tenants("newer_tenant", 1).await;
    project.write(
        "zdmig.toml",
        "soak = \"0s\"\n[[consumer]]\nname = \"shop\"\nidle = true\n[[waive]]\nrole = \"postgres\"\nreason = \"a test\"\n",
    );
    project.write(
        "usage.json",
        r#"{"zdmig_usage": 1, "service": "shop", "version": "1", "complete": true, "items":
            [{"table": "tenant_01.users", "read": ["username"], "write": ["username"]}]}"#,
    );
    project.run("deploy record --service shop --version 1 --usage usage.json").done();
    database
        .script("CREATE SCHEMA tenant_99; CREATE TABLE tenant_99.users (LIKE users INCLUDING ALL)")
        .await;
    project.run("expand --schemas tenant_*").done();
    project.run("backfill --schemas tenant_*").done();
    project.run("gate 1_rename@tenant_99").exits(11).says(&["shop@1", "username"]);
    let ran = project.run("contract --schemas tenant_*").exits(11);
    ran.says(&["contract in 2 schemas: 0 done, 2 not"]);
    project.run("deploy end --service shop --version 1").done();
    project.run("contract --schemas tenant_*").done();
    project.run("can-deploy --service shop --version 1").exits(11);
}

/// What is done, or not begun, in one schema stops no other.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_already_stops_no_other() {
    let (database, project) = tenants("taken_back", 3).await;
    let all = "--schemas tenant_*";
    project.run(&format!("expand {all}")).done();
    project.run("rollback 1_rename@tenant_01").done();
    let ran = project.run(&format!("rollback 1_rename {all}")).done();
    ran.says(&["3 done, 1 of which had nothing to do"]);
    project.run(&format!("rollback {all}")).done().says(&["3 of which had nothing to do"]);
    assert!(!columns(&database).await.contains("email"));
    // What is of one schema.
    for line in ["plan -o plan.json", "expand --plan plan.json", "backfill --metrics-listen :0"] {
        project.run(&format!("{line} {all}")).exits(2).says(&["is of one schema"]);
    }
    project.run("plan 1_rename@tenant_01 --verify").exits(2).says(&["cannot be verified"]);
    // A database is waited for whatever its schemas.
    project.write("zdmig.toml", "schemas = \"nobody_*\"\n");
    project.run("wait --for-database --timeout 1s").done().says(&["answers"]);
}

/// Each tenant's own table tells what was run there.
#[tokio::test(flavor = "multi_thread")]
async fn another_runners_table_is_of_its_own_schema() {
    let (database, project) = tenants("adopted_tenants", 2).await;
    database
        .script(
            "CREATE TABLE schema_migrations (version text); INSERT INTO schema_migrations VALUES ('1');
             CREATE TABLE tenant_01.schema_migrations (version text);
             INSERT INTO tenant_01.schema_migrations VALUES ('1')",
        )
        .await;
    let ran = project.run("adopt --from dbmate --schemas tenant_*").exits(2);
    ran.says(&["1 migration adopted from dbmate", "tenant_02 (2): there is no table"]);
    project.run("status --schemas tenant_*").done().says(&[
        "in tenant_01",
        "pending",
        "in tenant_02",
    ]);
}

/// Who lost the lock of all to one who works in a schema is fenced, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_lost_its_lock_is_fenced_whatever_its_scope() {
    let (database, project) = tenants("fenced_scopes", 1).await;
    for (first, second, held) in [
        ("expand", "expand --schemas tenant_*", "public.users"),
        ("contract --schemas tenant_*", "contract", "tenant_01.users"),
    ] {
        project.run("backfill --schemas tenant_*").done();
        let mut holder = attach(&database.url, "the holder").await.client;
        holder.script(&format!("BEGIN; SELECT 1 FROM {held}")).await.expect("held");
        let mut command = project.command(first);
        let child =
            command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let child = child.spawn().expect("it starts");
        let mut client = database.client().await;
        let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'zdmig' \
                     AND cardinality(pg_blocking_pids(pid)) > 0";
        until(&mut *client, waits).await;
        let lost = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE application_name = 'zdmig lock' AND datname = current_database()";
        client.script(lost).await.expect("it loses the lock");
        project.run(&format!("{second} --wait 10s")).done();
        holder.script("COMMIT").await.expect("let go");
        let ended = Ran::from(first, child.wait_with_output().expect("it ends"));
        assert_eq!(ended.code, Some(14), "{first}: {}", ended.err);
        project.run(&format!("{first} --wait 10s")).done();
        project.run("backfill").done();
    }
}

/// A session that waits for a table of the same name in another schema is none of a contract's.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_elsewhere_holds_no_contract_up() {
    let (database, project) = tenants("waits_elsewhere", 1).await;
    for verb in ["expand", "backfill"] {
        project.run(&format!("{verb} --schemas tenant_*")).done();
    }
    let mut holder = attach(&database.url, "the holder").await.client;
    holder.script("BEGIN; LOCK TABLE other.users IN SHARE MODE").await.expect("held");
    let url = database.url.clone();
    let waits = tokio::spawn(async move {
        let mut client = attach(&url, "shop").await.client;
        client.script("UPDATE other.users SET username = 'late'").await
    });
    let mut client = database.client().await;
    let queued = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted";
    until(&mut *client, queued).await;
    project.run("contract --schemas tenant_*").done();
    holder.script("COMMIT").await.expect("let go");
    waits.await.expect("it ends").expect("it is let through");
}
