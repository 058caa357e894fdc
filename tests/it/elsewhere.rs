//! How other tools for the same work have lost writes, got stuck or lied, each tried here:
//! `docs/failures-elsewhere.md` lists them all with the test that keeps watch.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use zdmig::dialect::Value;

use crate::corpus::dump;
use crate::support::{Database, OPEN_GATE, Project, Ran, attach};

const PEOPLE: &str = "
    CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, age int);
    INSERT INTO people SELECT g, 'n' || g, g FROM generate_series(1, 100) g;";

const RENAME: &str = "ALTER TABLE people RENAME COLUMN name TO full_name;";

async fn stage(name: &str, schema: &str, migration: &str) -> (Database, Project) {
    let database = Database::postgres(name).await;
    database.script(schema).await;
    let project = Project::new(&database).migration("1_change", migration).config(OPEN_GATE);
    (database, project)
}

fn start(project: &Project, line: &str) -> Child {
    let mut command = project.command(line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

async fn end(line: &str, child: Child) -> Ran {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    Ran::from(line, output.expect("joined").expect("it ends"))
}

async fn value(database: &Database, query: &str) -> String {
    let rows = database.client().await.rows(query, &[]).await.expect("a row");
    rows.first().and_then(|row| row[0].clone()).unwrap_or_else(|| "NULL".into())
}

/// Which side an update is for is told by the column that it changes.
#[tokio::test(flavor = "multi_thread")]
async fn the_search_path_of_a_session_decides_nothing() {
    let schema = format!("CREATE SCHEMA app; CREATE SCHEMA other; {PEOPLE}");
    let (database, project) = stage("path", &schema, RENAME).await;
    for line in ["expand", "backfill"] {
        project.run(line).done();
    }
    let paths = ["public", "other, public", "\"$user\", public", "pg_catalog, app", "''", "zdmig"];
    for (turn, path) in paths.iter().enumerate() {
        let mut client = attach(&database.url, "shop@1").await.client;
        client.script(&format!("SET search_path = {path}")).await.expect("a path");
        for (writes, reads) in [("name", "full_name"), ("full_name", "name")] {
            let text = format!("{writes} {turn}");
            let update = format!("UPDATE public.people SET {writes} = $1 WHERE id = 1");
            let insert = format!("INSERT INTO public.people (id, {writes}) VALUES ($1::int, $2)");
            client.run(&update, &[Value::Text(&text)]).await.expect("an update");
            let id = format!("1{turn}{}", writes.len());
            client.run(&insert, &[Value::Text(&id), Value::Text(&text)]).await.expect("a row");
            let read = format!("SELECT {reads} FROM public.people WHERE id = 1");
            assert_eq!(value(&database, &read).await, text, "{path}");
            let read = format!("SELECT {reads} FROM public.people WHERE id = {id}");
            assert_eq!(value(&database, &read).await, text, "{path}");
        }
    }
}

/// An update that changes neither side leaves both, whichever version it comes from.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_something_else_overwrites_nothing() {
    let migration = "-- zdmig:reverse people.name = initial || '.'
        ALTER TABLE people ADD COLUMN initial text;
        UPDATE people SET initial = left(name, 1);
        ALTER TABLE people DROP COLUMN name;";
    let (database, project) = stage("unrelated", PEOPLE, migration).await;
    for line in ["expand", "backfill"] {
        project.run(line).done();
    }
    database.script("UPDATE people SET initial = 'Zoë' WHERE id = 1").await;
    database.script("UPDATE people SET name = 'Quentin' WHERE id = 2").await;
    database
        .script("UPDATE people SET age = age + 1; UPDATE people SET age = age, name = name")
        .await;
    let query =
        "SELECT string_agg(initial || '/' || name, ' ' ORDER BY id) FROM people WHERE id < 4";
    assert_eq!(value(&database, query).await, "Zoë/Zoë. Q/Quentin n/n3");
}

/// An expression that names what is not there is found before any code is run through it.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_expression_fails_us_and_no_writer() {
    for (reverse, forward) in [
        ("initial_ || '.'", "left(name, 1)"),
        ("no_such_function(initial)", "left(name, 1)"),
        ("initial || '.'", "left(nam, 1)"),
    ] {
        let migration = format!(
            "-- zdmig:reverse people.name = {reverse}
             ALTER TABLE people ADD COLUMN initial text;
             UPDATE people SET initial = {forward};
             ALTER TABLE people DROP COLUMN name;"
        );
        let (database, project) = stage("wrong", PEOPLE, &migration).await;
        let before = database.catalog().await;
        let ran = project.run("expand");
        assert!(matches!(ran.code, Some(10 | 15)), "{reverse}: {ran:?}");
        let code = ran.says(&["does not exist"]).code;
        database.script("UPDATE people SET name = name || '!'").await;
        assert_eq!(value(&database, "SELECT name FROM people WHERE id = 1").await, "n1!");
        if code == Some(15) {
            project.run("rollback 1_change").done();
        }
        assert_eq!(database.catalog().await, before);
    }
}

/// The application makes and drops tables of its own, and keeps transactions open over it.
#[tokio::test(flavor = "multi_thread")]
async fn ddl_of_the_application_goes_on() {
    let (database, project) = stage("ddl", PEOPLE, RENAME).await;
    let mut client = attach(&database.url, "shop@1").await.client;
    for line in ["expand", "backfill", "rollback 1_change", "expand", "backfill"] {
        client
            .script("BEGIN; CREATE TEMP TABLE mine (a int); CREATE TABLE ours (a int)")
            .await
            .expect("tables");
        project.run(line).done();
        client
            .script("INSERT INTO mine VALUES (1); DROP TABLE mine, ours; COMMIT")
            .await
            .expect("dropped");
    }
}

/// Asking how it stands waits for nobody.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_reads_answers_while_a_fill_runs() {
    let schema = "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL);
        INSERT INTO people SELECT g, 'n' || g FROM generate_series(1, 200000) g; ANALYZE people";
    let (database, project) = stage("blind", schema, RENAME).await;
    project.run("expand").done();
    let child = start(&project, "backfill --pace gentle");
    for _ in 0..1_000 {
        if value(&database, "SELECT coalesce(max(rows), 0) FROM zdmig.part").await != "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    project.run("status").done().says(&["backfilling"]);
    project.run("plan 1_change").done();
    project.run("check").done();
    assert_ne!(project.run("gate 1_change").code, Some(14));
    // Who wants to change something is told who is at work.
    project.run("contract 1_change").exits(14);
    let left = "SELECT count(*) FROM people WHERE full_name IS NULL";
    assert_ne!(value(&database, left).await, "0", "the fill was over too soon");
    std::process::Command::new("kill").arg(child.id().to_string()).status().expect("told");
    end("backfill", child).await.exits(130);
}

/// Contract of three tables that stops at the second goes on with the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_was_stopped_halfway_skips_nothing() {
    let (mut schema, mut change) = (String::new(), String::new());
    for n in 1..=3 {
        schema += &format!(
            "CREATE TABLE t{n} (id serial PRIMARY KEY, a int NOT NULL);
             INSERT INTO t{n} (a) SELECT g FROM generate_series(1, 1000) g;"
        );
        change += &format!("ALTER TABLE t{n} ALTER COLUMN a TYPE bigint;\n");
    }
    let (database, project) = stage("halfway", &schema, &change).await;
    for line in ["expand", "backfill"] {
        project.run(line).done();
    }
    let mut holder = attach(&database.url, "the holder").await.client;
    holder.script("BEGIN; LOCK TABLE t2 IN ACCESS SHARE MODE").await.expect("held");
    project
        .run("contract --lock-timeout 100ms --lock-wait-max 1s")
        .exits(14)
        .says(&["the holder", "go on with"]);
    // What is half done takes writes.
    for n in 1..=3 {
        database.script(&format!("INSERT INTO t{n} (a) VALUES (1)")).await;
    }
    holder.script("COMMIT").await.expect("let go");
    project.run("contract").done();
    for n in 1..=3 {
        database.script(&format!("INSERT INTO t{n} (a) VALUES (5000000000)")).await;
        let query = format!("SELECT count(*) FROM t{n}");
        assert_eq!(value(&database, &query).await, "1002");
    }
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}

/// Our sessions are ended by the server in every phase: the same command goes on, at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_is_resumed_in_every_phase() {
    let (database, project) = stage("ended", PEOPLE, RENAME).await;
    for line in ["expand", "backfill", "contract"] {
        let mut holder = attach(&database.url, "the holder").await.client;
        holder.script("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE").await.expect("held");
        let child = start(&project, line);
        let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'zdmig%' \
                    AND wait_event_type = 'Lock'";
        let mut waits = false;
        for _ in 0..1_000 {
            waits = value(&database, ours).await != "0";
            if waits {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(waits, "{line} never waited for the table");
        database
            .script(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name LIKE 'zdmig%' AND datname = current_database()",
            )
            .await;
        let begun = Instant::now();
        holder.script("COMMIT").await.expect("let go");
        let ran = end(line, child).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "{line} took {:?}", begun.elapsed());
        if ran.code != Some(0) {
            assert!(matches!(ran.code, Some(3 | 14 | 15)), "{line}: {ran:?}");
            let told = ["run the same command again", "go on with: zdmig "];
            assert!(told.iter().any(|words| ran.err.contains(words)), "{line}: {ran:?}");
            project.run(&format!("{line} --wait 30s")).done();
        }
    }
    assert_eq!(value(&database, "SELECT full_name FROM people WHERE id = 7").await, "n7");
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}

/// A rollback that makes a rule again reads the rows while others write.
#[tokio::test(flavor = "multi_thread")]
async fn the_application_writes_on_while_a_dropped_rule_comes_back() {
    let schema = "
        CREATE FUNCTION fine(n int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
            IF current_setting('application_name') LIKE 'zdmig%' THEN PERFORM pg_sleep(0.1); END IF;
            RETURN n > 0;
        END $$;
        CREATE TABLE t (id int PRIMARY KEY, n int CONSTRAINT positive CHECK (fine(n)));
        INSERT INTO t SELECT g, g FROM generate_series(1, 60) g";
    let (database, project) = stage("rule", schema, "ALTER TABLE t DROP CONSTRAINT positive").await;
    let before = dump(&database);
    project.run("expand").done();
    let child = start(&project, "rollback 1_change");
    let reads = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%VALIDATE CONSTRAINT%' \
                 AND application_name LIKE 'zdmig%' AND state = 'active'";
    let mut client = attach(&database.url, "the application").await.client;
    while value(&database, reads).await == "0" {
        assert!(dump(&database) != before, "the rollback was over too soon");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.script("SET lock_timeout = '500ms'; UPDATE t SET n = n + 1").await.expect("written");
    assert_ne!(value(&database, reads).await, "0", "the rollback was over too soon");
    end("rollback", child).await.done();
    assert_eq!(dump(&database), before);
}

/// Two runners on an index that is built beside writers: one builds, both are content.
#[tokio::test(flavor = "multi_thread")]
async fn two_runners_build_one_index() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, a int, b text);
        INSERT INTO t SELECT g, g, repeat('x', 100) FROM generate_series(1, 300000) g";
    let (database, project) =
        stage("race", schema, "CREATE INDEX CONCURRENTLY t_a ON t (a, b);").await;
    let first = start(&project, "expand --wait 60s");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = start(&project, "expand --wait 60s");
    end("expand", first).await.done();
    end("expand", second).await.done();
    let query = "SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY indexrelid::regclass::text) \
                 FROM pg_index WHERE indrelid = 't'::regclass";
    assert_eq!(value(&database, query).await, "t_a true, t_pkey true");
}

/// The application locks rows in the other order: it is never the one that is given up.
#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_no_victim_of_a_deadlock() {
    let schema = "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, age int DEFAULT 0);
        INSERT INTO people SELECT g, 'n' || g FROM generate_series(1, 100000) g; ANALYZE people";
    let (database, project) = stage("deadlock", schema, RENAME).await;
    project.run("expand").done();
    let stop = Arc::new(AtomicBool::new(false));
    let (url, ends) = (database.url.clone(), stop.clone());
    let application = tokio::spawn(async move {
        let mut client = attach(&url, "shop@1").await.client;
        let mut rounds = 0;
        while !ends.load(Ordering::Relaxed) {
            client.script("BEGIN").await.expect("begun");
            for id in (1..100).rev() {
                let id = (id * 1_000).to_string();
                let update = "UPDATE people SET age = age + 1 WHERE id = $1::text::int";
                client.run(update, &[Value::Text(&id)]).await.expect("never a victim");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            client.script("COMMIT").await.expect("committed");
            rounds += 1;
        }
        rounds
    });
    project.run("backfill").done();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.store(true, Ordering::Relaxed);
    let rounds = application.await.expect("it ends");
    assert!(rounds > 0);
    let ages = value(&database, "SELECT sum(age) FROM people").await;
    assert_eq!(ages, (rounds * 99).to_string());
    let query = "SELECT count(*) FROM people WHERE full_name IS DISTINCT FROM name";
    assert_eq!(value(&database, query).await, "0");
}
