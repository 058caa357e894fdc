//! A migration before its time: what an application would feel is found on a database that is thrown away, and the
//! database itself is left alone.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::own_server::{Server, fresh};
use crate::support::{Database, Project, ask, attach};

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE town (id int PRIMARY KEY, name varchar(20) NOT NULL UNIQUE);
    INSERT INTO town VALUES (1, 'here');
    CREATE TABLE users (
        id bigserial PRIMARY KEY, town int NOT NULL REFERENCES town, username text NOT NULL, score numeric(6, 2),
        mood mood, seen timestamptz NOT NULL DEFAULT now(), tags text[], data jsonb, born date, token uuid UNIQUE,
        length int GENERATED ALWAYS AS (town * 2) STORED);
    INSERT INTO users (town, username, mood) SELECT 1, 'user ' || g, CASE WHEN g % 2 = 0 THEN 'sad'::mood END
      FROM generate_series(1, 500) g;
    ANALYZE;";

const OLD: &str = "\\set id random(1, 2000)
UPDATE users SET username = 'old :id' WHERE id = :id;
SELECT username FROM users WHERE id = :id;
";

const NEW: &str = "\\set id random(1, 2000)
BEGIN;
UPDATE users SET login = 'new :id' WHERE id = :id;
SELECT login, town FROM users WHERE id = :id;
END;
";

const BOTH: &str = "\\set id random(1, 2000)\nSELECT seen FROM users WHERE id = :id;\n";

fn project(database: &Database, migration: &str) -> Project {
    project_at(&database.url, migration)
}

fn project_at(url: &str, migration: &str) -> Project {
    let project = Project::at(url).migration("1_login", migration);
    project.write("old.sql", OLD);
    project.write("new.sql", NEW);
    project.write("both.sql", BOTH);
    project
}

/// On a server of its own, with rows that are made up; what is found is on record, and the database as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_rename_is_rehearsed_and_felt_by_nobody() {
    let database = Database::postgres("rehearse").await;
    database.script(TABLES).await;
    let before = database.catalog().await;
    let project = project(
        &database,
        "ALTER TABLE users RENAME COLUMN username TO login; CREATE INDEX users_seen ON users (seen);",
    );
    // Whoever builds an index beside an application waits for those that are at it.
    project
        .write("slow.sql", "BEGIN;\nSELECT seen FROM users WHERE id = 1;\n\\sleep 60 ms\nEND;\n");
    let ran = project.run(
        "rehearse 1 --workload old.sql@3 --workload new.sql --workload both.sql --workload slow.sql --rows 2e3 \
         --rate 100 --hold 600ms --pace gentle --max-p99-ratio 1000 --max-lock-wait 1m -o report.html -o report.md -o report.json",
    );
    let ran = ran.done().says(&[
        "rehearsal of 1_login",
        "a server of its own",
        "public.users 2,000",
        "old.sql, old code",
        "new.sql, new code",
        "both.sql, code of both",
        "within its budget",
        "next: zdmig expand 1_login",
        "ACCESS EXCLUSIVE on public.users",
        "at the pace `gentle`",
    ]);
    for phase in [
        "before",
        "expand",
        "back from expanded",
        "backfill",
        "new code beside old",
        "contract",
        "purge",
    ] {
        assert!(ran.out.contains(phase), "no {phase} in {}", ran.out);
    }
    let text = std::fs::read_to_string(project.path("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    // Rows that the application wrote meanwhile are filled already.
    let filled = report["fill"]["rows"].as_u64().expect("rows");
    assert!((1_000..=2_000).contains(&filled), "{text}");
    let back: Vec<&str> = report["ways_back"]
        .as_array()
        .expect("ways")
        .iter()
        .map(|way| way["from"].as_str().expect("a name"))
        .collect();
    assert_eq!(back, ["expanded", "filled", "contracted"]);
    let steps = report["steps"].as_array().expect("steps");
    let locks = |mode: &str| {
        steps.iter().any(|step| {
            step["locks"]["public.users"] == mode && step["held_ms"].as_f64() > Some(0.0)
        })
    };
    // Within a transaction, and in none.
    assert!(locks("ACCESS EXCLUSIVE") && locks("SHARE UPDATE EXCLUSIVE"), "{text}");
    let all = report["phases"].as_array().expect("phases");
    assert!(
        all.iter().all(|phase| phase["errors"] == 0 && phase["requests"].as_u64() > Some(5)),
        "{text}"
    );
    let page = std::fs::read_to_string(project.path("report.html")).expect("a page");
    assert!(page.contains("<polyline") && page.contains("new code beside old</text>"), "{page}");
    assert!(
        std::fs::read_to_string(project.path("report.md")).expect("text").contains("| expand |")
    );
    // The database itself has a record more, and nothing else.
    let after = database.catalog().await;
    assert_eq!(before.tables.keys().collect::<Vec<_>>(), after.tables.keys().collect::<Vec<_>>());
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, "SELECT count(*) FROM users").await, "500");
    project.run("plan 1").done().says(&["rehearsed on", "p99 ×", "0 of", "back in"]);
    project.run("plan 1 --format markdown").done().says(&["rehearsed on"]);
    project.run("expand").done();
    let said = "rehearse 1 --workload old.sql";
    project.run(said).exits(2).says(&["`1_login` was begun already"]);
}

/// What stops running code is seen by its errors, and by who waited: budgets are broken, and it says which.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_would_feel_is_found() {
    let database = Database::postgres("rehearse").await;
    database.script(TABLES).await;
    let naive = "-- zdmig:allow opaque because \"a test\"\n-- zdmig:expand\n\
                 DO $$ BEGIN ALTER TABLE users RENAME COLUMN username TO login; PERFORM pg_sleep(1.5); END $$;";
    let project = project(&database, naive);
    let ran = project.run(
        "rehearse 1 --workload old.sql --workload both.sql --rows 2000 --rate 100 --hold 500ms --max-lock-wait 300ms \
         --no-record -o report.json",
    );
    ran.exits(10).says(&["✗ expand", "max_lock_wait", "column \"username\"", "errors", "broken"]);
    // For how long everybody was locked out.
    let text = std::fs::read_to_string(project.path("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let step = &report["steps"][0];
    assert_eq!(step["locks"]["public.users"], "ACCESS EXCLUSIVE", "{text}");
    assert!(step["held_ms"].as_f64() >= Some(1_500.0), "{text}");
    assert!(!project.run("plan 1").done().out.contains("rehearsed on"));
}

/// Without a script: what ran most on the database, with values that its columns have.
#[tokio::test(flavor = "multi_thread")]
async fn what_ran_most_is_what_is_rehearsed() {
    let Some((bin, folder)) = fresh().await else { return };
    let server = Server::start(
        &bin,
        &folder.path().join("one"),
        "-c shared_preload_libraries=pg_stat_statements",
    );
    let url = server.url();
    let mut client = attach(&url, "test").await.client;
    client.script("CREATE EXTENSION pg_stat_statements").await.expect("it is there");
    client.script(TABLES).await.expect("tables");
    client.script("SELECT pg_stat_statements_reset()").await.expect("a beginning");
    for n in 0..20 {
        for sql in [
            format!("SELECT username, score FROM users WHERE id = {n}"),
            format!("UPDATE users SET username = 'user {n}' WHERE id = {n} AND town IN (1, 2)"),
            format!("SELECT count(*) FROM town WHERE name LIKE 'here%' LIMIT {n}"),
            format!(
                "INSERT INTO users (town, username, token) VALUES (1, 'new {n}', gen_random_uuid())"
            ),
        ] {
            client.script(&sql).await.expect("it runs");
        }
    }
    let project = project_at(&url, "ALTER TABLE users RENAME COLUMN username TO login;");
    let ran = project.run(
        "rehearse 1 --from-statements --rows 3000 --rate 100 --hold 500ms --max-p99-ratio 1000 --max-lock-wait 1m \
         --workload new.sql",
    );
    ran.done().says(&[
        "SELECT username, score FROM users WHERE id = $1, old code",
        "UPDATE users SET username = $1",
        "FROM town WHERE name LIKE $1 LIMIT $2, code of both",
        "INSERT INTO users",
        "new.sql, new code",
        "within its budget",
    ]);
    project.run("rehearse 1").exits(2).says(&["--workload"]);
}

/// A database that is there for it, with rows of somebody's own, is taken as it is; one that is the very database is not.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_ones_own_are_taken_as_they_are() {
    let (database, scratch) =
        (Database::postgres("rehearse").await, Database::postgres("scratch").await);
    for one in [&database, &scratch] {
        one.script(TABLES).await;
    }
    let project = project(&database, "ALTER TABLE users RENAME COLUMN username TO login;");
    let said = "rehearse 1 --workload old.sql --workload both.sql --hold 300ms --rate 50 --max-p99-ratio 1000 \
                --max-lock-wait 1m";
    project.run(&format!("{said} --scratch {}", scratch.url)).done().says(&["public.users 500"]);
    // However it is spelt, and whichever way it is reached.
    let same = database.url.replace("127.0.0.1", "localhost");
    for url in [&database.url, &same, &format!("{}?application_name=other", database.url)] {
        let ran = project.run(&format!("{said} --scratch {url}")).exits(2);
        ran.says(&["is the one that the migration is for"]);
    }
    let again = project.run(&format!("{said} --scratch {}", scratch.url)).exits(2);
    again.says(&["was run in the scratch database before"]);
    let name = database.url.rsplit_once('/').expect("a name").1;
    project
        .run(&format!("{said} --template {name} --no-record -o report.json"))
        .done()
        .says(&["public.users 500", "a copy of"]);
    // The copy is gone.
    let text = std::fs::read_to_string(project.path("report.json")).expect("a report");
    let pid = text.split("pid ").nth(1).and_then(|rest| rest.split('"').next()).expect("a process");
    let left = format!(
        "SELECT count(*) FROM pg_database WHERE datname LIKE 'zdmig\\_scratch\\_{pid}\\_%'"
    );
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, &left).await, "0");
}

const LINKED: &str = r#"
    CREATE SCHEMA "S t";
    CREATE EXTENSION citext SCHEMA "S t";
    CREATE TABLE "S t".lang (code "S t".citext PRIMARY KEY);
    INSERT INTO "S t".lang VALUES ('de'), ('en'), ('fr');
    CREATE TABLE "To wn" ("i'd" int, land char(2), name text, wide text GENERATED ALWAYS AS (name || '!') STORED,
        PRIMARY KEY (land, "i'd"));
    INSERT INTO "To wn" SELECT g, 'de', E'a\tb\\''' || g FROM generate_series(1, 1000) g;
    CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, boss bigint REFERENCES users,
        town int, land char(2), lang "S t".citext REFERENCES "S t".lang, note text,
        FOREIGN KEY (town, land) REFERENCES "To wn" ("i'd", land));
    INSERT INTO users (boss, town, land, lang, note)
      SELECT nullif(g / 2, 0), 1 + g % 1000, 'de', CASE WHEN g % 2 = 0 THEN 'DE' ELSE 'En' END,
             CASE WHEN g % 3 > 0 THEN E'\\N"' || g END FROM generate_series(1, 3000) g;
    CREATE SEQUENCE counted;
    CREATE TABLE log (at int, by bigint NOT NULL REFERENCES users, number text DEFAULT 'n' || nextval('counted'))
        PARTITION BY RANGE (at);
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (1000);
    CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (1000) TO (9000);
    INSERT INTO log (at, by) SELECT g, 3001 - g FROM generate_series(1, 2000) g;
    CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'it fires'; END $$;
    CREATE TRIGGER never BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION never();
    ANALYZE;"#;

/// Rows of the original, and those that they point to, wherever that leads: into a database that is empty, and into
/// one that has some of them.
#[tokio::test(flavor = "multi_thread")]
async fn real_rows_come_with_those_that_they_point_to() {
    let database = Database::postgres("rehearse").await;
    database.script(LINKED).await;
    let project = project(&database, "ALTER TABLE users ADD COLUMN fresh text;");
    project.write("look.sql", "SELECT count(*) FROM users;\nSELECT count(*) FROM log;\n");
    let said = "rehearse 1 --workload look.sql --hold 200ms --rate 20 --max-p99-ratio 1000 --max-lock-wait 1m \
                --sample --rows 100";
    let (empty, begun) = (Database::postgres("scratch").await, Database::postgres("scratch").await);
    begun.script(LINKED).await;
    begun.script("TRUNCATE log, users; DELETE FROM \"To wn\" WHERE \"i'd\" > 10").await;
    let mut real = database.client().await;
    for scratch in [&empty, &begun] {
        project
            .run(&format!("{said} --scratch {}", scratch.url))
            .done()
            .says(&["with a sample of the real rows", "public.log"]);
        let mut there = scratch.client().await;
        for (table, columns, (least, most)) in [
            ("users", "id, boss, town, land, lang, note", (100, 2_000)),
            ("\"To wn\"", "land, \"i'd\", name, wide", (50, 999)),
            ("log", "at, by, number", (50, 100)),
        ] {
            let count = ask(&mut *there, &format!("SELECT count(*) FROM {table}")).await;
            let count: u32 = count.parse().expect("a number");
            assert!((least..=most).contains(&count), "{count} of {table}");
            let rows = format!("SELECT row({columns})::text AS one FROM {table}");
            let all = format!("SELECT string_agg(one, '|' ORDER BY one) FROM ({rows}) t");
            let copied = ask(&mut *there, &all).await;
            let known = ask(&mut *real, &all).await;
            let known: BTreeSet<&str> = known.split('|').collect();
            assert!(copied.split('|').all(|row| known.contains(row)), "{table} is not as it was");
        }
        // The server says itself that every key leads somewhere.
        for (table, key) in [
            ("users", "users_boss_fkey"),
            ("users", "users_town_land_fkey"),
            ("users", "users_lang_fkey"),
            ("log", "log_by_fkey"),
        ] {
            let definition = format!(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint
                  WHERE conname = '{key}' AND conrelid = '{table}'::regclass"
            );
            let definition = ask(&mut *there, &definition).await;
            let again = format!(
                "ALTER TABLE {table} DROP CONSTRAINT {key};
                 ALTER TABLE {table} ADD CONSTRAINT {key} {definition}"
            );
            there.script(&again).await.expect("all rows are there");
        }
        let next = "SELECT nextval(pg_get_serial_sequence('users', 'id')) > max(id) FROM users";
        assert_eq!(ask(&mut *there, next).await, "true");
        assert_eq!(ask(&mut *there, "SELECT last_value FROM counted").await, "2000");
    }
}

/// Where a chain has no end in sight it says so; a file is copied whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_cannot_be_had_is_told() {
    let database = Database::postgres("rehearse").await;
    let chain = "CREATE TABLE users (id int PRIMARY KEY, before int REFERENCES users, seen text);
                 INSERT INTO users SELECT g, nullif(g - 1, 0) FROM generate_series(1, 50000) g; ANALYZE";
    database.script(chain).await;
    let project = project(&database, "ALTER TABLE users ADD COLUMN fresh text;");
    let scratch = Database::postgres("scratch").await;
    let said = "rehearse 1 --workload both.sql --hold 100ms --sample";
    let ran = project.run(&format!("{said} --rows 100 --scratch {}", scratch.url)).exits(2);
    ran.says(&["the rows of public.users lead to more than", "`users_before_fkey`", "`--rows`"]);
    // Over two tables, too, of which each leads to the other a step at a time.
    let over_two = "CREATE TABLE thread (id int PRIMARY KEY, last int);
                    INSERT INTO thread SELECT g, g FROM generate_series(1, 50000) g;
                    ALTER TABLE users DROP CONSTRAINT users_before_fkey,
                        ADD CONSTRAINT in_thread FOREIGN KEY (before) REFERENCES thread;
                    ALTER TABLE thread ADD CONSTRAINT by_users FOREIGN KEY (last) REFERENCES users; ANALYZE";
    database.script(over_two).await;
    let scratch = Database::postgres("scratch").await;
    let ran = project.run(&format!("{said} --rows 100 --scratch {}", scratch.url)).exits(2);
    ran.says(&["lead to more than", "further ones, by its key"]);
    let file = Database::sqlite().await;
    file.script("CREATE TABLE users (id INTEGER PRIMARY KEY, seen TEXT)").await;
    let project = project_at(&file.url, "ALTER TABLE users ADD COLUMN note TEXT;");
    project.run(said).exits(2).says(&["leave `--sample` out"]);
}

/// Whoever is told to end in the middle leaves neither a server nor a folder.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_rehearsal_that_is_interrupted() {
    let database = Database::postgres("rehearse").await;
    database.script(TABLES).await;
    let project = project(&database, "ALTER TABLE users RENAME COLUMN username TO login;");
    let folder = tempfile::Builder::new().prefix("zdmig-stage").tempdir().expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("a server's user gets in");
    let mut command = project.command("rehearse 1 --workload old.sql --rows 2000 --hold 1m");
    let mut child = command
        .env("TMPDIR", folder.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(child.stderr.take().expect("its narration"));
    let begins = said.by_ref().lines().map_while(Result::ok).any(|line| line == "before");
    assert!(begins, "it does not begin");
    let rest = std::thread::spawn(move || {
        let mut text = String::new();
        said.read_to_string(&mut text).map(|_| text).unwrap_or_default()
    });
    assert!(runs_in(folder.path()), "there is a server");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stdout));
    let said = rest.join().expect("all that it narrates");
    assert!(said.contains("interrupted; the database itself is as it was"), "{said}");
    assert!(!runs_in(folder.path()), "the server is stopped");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

/// Whether a process names a folder in its command line.
fn runs_in(folder: &Path) -> bool {
    let wanted = folder.display().to_string();
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    all.into_iter().any(|one| {
        let line = std::fs::read(one.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&wanted)
    })
}

/// What only adds has the same phases, of which some have nothing to do; what cannot be taken back has no way back.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_a_contract_is_rehearsed_too() {
    let database = Database::sqlite().await;
    database.script("CREATE TABLE users (id INTEGER PRIMARY KEY, seen TEXT)").await;
    let project = project(&database, "ALTER TABLE users ADD COLUMN note TEXT;").migration(
        "2_note",
        "-- zdmig:allow opaque because \"a test\"\n-- zdmig:expand\nUPDATE users SET note = 'x';",
    );
    let said = "--workload both.sql --hold 200ms --rate 50 --max-p99-ratio 10000 --no-record";
    let ran = project.run(&format!("rehearse 1_login {said}")).done();
    ran.says(&["expanded", "within its budget"]);
    let ran = project.run(&format!("rehearse 2_note {said}")).done();
    ran.says(&["no way back: the plan has a step that cannot be taken back", "within its budget"]);
}

/// A file is copied with its rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_rehearsed_in_a_copy() {
    let database = Database::sqlite().await;
    database
        .script(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT, town INTEGER, seen TEXT)",
        )
        .await;
    database.script("INSERT INTO users (username) VALUES ('ann'), ('ben'), ('eve')").await;
    let project = project(&database, "ALTER TABLE users RENAME COLUMN username TO login;");
    project
        .run("rehearse 1 --workload old.sql --workload new.sql --hold 300ms --rate 50 --max-p99-ratio 10000")
        .done()
        .says(&["SQLite of its own", "users 3", "old code", "new code", "within its budget"]);
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, "SELECT count(username) FROM users").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_cannot_be_run_is_named() {
    let database = Database::sqlite().await;
    let project = project(&database, "CREATE TABLE a (id INTEGER PRIMARY KEY);");
    project.run("rehearse 1 --workload none.sql").exits(2).says(&["`none.sql` cannot be read"]);
    project.write("wrong.sql", "\\shell rm\nSELECT 1;");
    project
        .run("rehearse 1 --workload wrong.sql")
        .exits(2)
        .says(&["wrong.sql", "is not known here"]);
    project.run("rehearse 1 --workload both.sql -o report.pdf").exits(2).says(&["report.pdf"]);
    project.run("rehearse 1 --workload both.sql --rows many").exits(2).says(&["1e6"]);
    // What fails there is an answer about the file, and nothing was done here.
    let typo = Project::new(&database).migration("1_login", "ALTER TABEL a ADD COLUMN b TEXT;");
    typo.write("both.sql", "SELECT 1;");
    let ran = typo.run("rehearse 1 --workload both.sql --hold 100ms").exits(10);
    ran.says(&[
        "the migration fails in the rehearsal",
        "syntax error",
        "the database itself is as it was",
    ]);
    project.write("never.sql", "SELECT nothing FROM nowhere;");
    project
        .run("rehearse 1 --workload never.sql --hold 100ms")
        .exits(2)
        .says(&["`never.sql` fails before expand and after it"]);
}
