//! Each verb by itself, through the built program.

use crate::support::{Database, OPEN_GATE, Project, Ran, program};

const SCHEMA: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(40))";
const RENAME: &str = "ALTER TABLE users RENAME COLUMN username TO email;";

async fn project(product: &str) -> (Database, Project) {
    let database = Database::of(product, "verbs").await;
    database.script(SCHEMA).await;
    let project = Project::new(&database).migration("1_rename", RENAME).config(OPEN_GATE);
    (database, project)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_the_same_bytes_and_the_saved_one_is_run() {
    for product in ["postgres", "sqlite"] {
        let (database, project) = project(product).await;
        let one = project.run("plan --format json").done().out;
        let two = project.run("plan --format json").done().out;
        assert_eq!(one, two);
        project.run("plan 1_rename -o plan.json").done();
        let saved = std::fs::read_to_string(project.path("plan.json")).expect("saved");
        assert_eq!(saved, one);
        project.run("expand --plan plan.json").done();
        let journal = database.session().await.journal().await.expect("a journal");
        let id = "1_rename".to_owned().try_into().expect("an id");
        assert_eq!(journal.plan(&id).expect("taken up").to_json(), saved);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_or_edited_plan_is_refused() {
    for product in ["postgres", "sqlite"] {
        let (database, project) = project(product).await;
        project.run("plan 1_rename -o plan.json").done();
        let saved = std::fs::read_to_string(project.path("plan.json")).expect("saved");
        project.write("edited.json", &saved.replacen("ADD COLUMN", "ADD  COLUMN", 1));
        project.run("expand --plan edited.json").exits(2).says(&["was changed after it was made"]);
        project.write("newer.json", &saved.replacen("\"zdmig_plan\": 1", "\"zdmig_plan\": 99", 1));
        project.run("expand --plan newer.json").exits(2).says(&["use a newer zdmig"]);
        project.write("no.json", "{}");
        project.run("expand --plan no.json").exits(2).says(&["not a plan"]);
        database.script("ALTER TABLE users ADD COLUMN more VARCHAR(10)").await;
        project.run("expand --plan plan.json").exits(13).says(&["stale"]);
        assert_eq!(database.leftovers().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_verbs_leave_nothing_behind() {
    for product in ["postgres", "sqlite"] {
        let (database, project) = project(product).await;
        project.run("status -v").done().says(&[
            "pending",
            "ZDMIG_DATABASE_URL",
            "zdmig.toml, soak",
        ]);
        project.run("status --exit-code").exits(20);
        project.run("plan --exit-code").exits(20);
        project.run("check").done();
        project.run("wait 1_rename --timeout 0s").exits(14).says(&["still pending"]);
        project.run("gate 1_rename").exits(2);
        let mut client = database.client().await;
        let query = if product == "sqlite" {
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'zdmig%'"
        } else {
            "SELECT count(*) FROM pg_namespace WHERE nspname = 'zdmig'"
        };
        let rows = client.rows(query, &[]).await.expect("a count");
        assert_eq!(rows[0][0].as_deref(), Some("0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_is_idempotent_and_speaks_json() {
    for product in ["postgres", "sqlite"] {
        let (_database, project) = project(product).await;
        for (verb, state) in [("expand", "expanded"), ("backfill", "ready"), ("contract", "done")] {
            let ran = project.run(&format!("{verb} --format json")).done();
            let last = ran.out.lines().last().expect("a line");
            let report: serde_json::Value = serde_json::from_str(last).expect("JSON");
            assert_eq!(report["state"], state, "{ran:?}");
            project.run(verb).done().says(&["nothing to"]);
            for line in project.run("status --format json").done().out.lines() {
                let status: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(status["migrations"][0]["state"], state);
            }
            project.run("wait 1_rename --for expanded").done();
        }
        project.run("status --exit-code").done();
        project.run("purge 1_rename").done();
        project.run("restore 1_rename").exits(10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_knows_versions_by_heartbeat_and_manifest() {
    for product in ["postgres", "sqlite"] {
        let (_database, project) = project(product).await;
        let role = if product == "postgres" { "\"postgres\"" } else { "" };
        project.write(
            "zdmig.toml",
            &format!("usage = \"usage\"\nheartbeat_ttl = \"1m\"\n[[consumer]]\nname = \"api\"\nroles = [{role}]\nunnamed_sessions = true\n"),
        );
        std::fs::create_dir(project.path("usage")).expect("a folder");
        for verb in ["expand", "backfill"] {
            project.run(verb).done();
        }
        project.run("gate 1").exits(12).says(&["UNKNOWN", "U_EMPTY", "no version of `api`"]);
        project.run("heartbeat --service api --version 1 --instance a").done();
        project.run("gate 1").exits(12).says(&["U_NO_USAGE", "api@1 is live"]);
        let manifest = |version: &str, column: &str| {
            format!(
                "{{\"zdmig_usage\":1,\"service\":\"api\",\"version\":\"{version}\",\"complete\":true,\"items\":[{{\"table\":\"users\",\"read\":[\"{column}\"]}}]}}"
            )
        };
        project.write("usage/api-1.json", &manifest("1", "username"));
        project.run("gate 1").exits(11).says(&["REFUSE", "api@1", "reads it"]);
        project.run("heartbeat --service api --version 1 --instance a --bye").done();
        project.run("heartbeat --service api --version 2 --instance b").done();
        project.write("two.json", &manifest("2", "email"));
        project.run("usage publish two.json").done();
        project.run("usage publish two.json").done();
        project.run("gate 1").done().says(&["PASS", "api@2"]);
        project.write("two.json", &manifest("2", "username"));
        project.run("usage publish two.json").exits(2).says(&["never changes"]);
        project.run("contract 1 --format json").done();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_session_or_an_unmapped_role_keeps_the_gate_shut() {
    let (database, project) = project("postgres").await;
    for verb in ["expand", "backfill"] {
        project.run(verb).done();
    }
    project
        .write("zdmig.toml", "[[consumer]]\nname = \"api\"\nidle = true\nroles = [\"postgres\"]\n");
    let client = database.client().await;
    project.run("gate 1").exits(12).says(&["U_UNVERSIONED", "(test)"]);
    drop(client);
    let role = crate::support::unique("etl");
    database.script(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON users TO {role};")).await;
    project.run("gate 1").exits(12).says(&["U_UNMAPPED_ROLE", &role, "read public.users.username"]);
    database.script("CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT username FROM users LIMIT 1); END'").await;
    project.run("gate 1").exits(11).says(&["E_DEPENDENT", "function f()"]);
}

/// The least privilege: an ordinary role that owns the database and the table, which is also
/// the role of the application.
#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_owner_is_enough() {
    let (database, project) = project("postgres").await;
    let role = crate::support::unique("owner");
    let name = database.url.rsplit('/').next().expect("a name");
    let grant = format!(
        "CREATE ROLE {role} LOGIN; ALTER DATABASE \"{name}\" OWNER TO {role}; \
         ALTER TABLE users OWNER TO {role}; INSERT INTO users VALUES (1, 'a');"
    );
    database.script(&grant).await;
    let url = database.url.replacen("postgres@", &format!("{role}@"), 1);
    let run = |line: &str| {
        let output = project.command(line).args(["--database-url", &url]).output();
        Ran::from(line, output.expect("it starts"))
    };
    project.write(
        "zdmig.toml",
        &format!("{OPEN_GATE}[[waive]]\nrole = \"{role}\"\nreason = \"a test\"\n"),
    );
    let before = database.catalog().await;
    for verb in ["expand", "backfill", "contract --soak 1h"] {
        run(verb).done();
    }
    let mut own = crate::support::attach(&url, "test").await.client;
    assert!(own.rows("SELECT username FROM users", &[]).await.is_err(), "it bites the owner too");
    own.run("INSERT INTO users (id, email) VALUES (2, 'b')", &[]).await.expect("a write");
    run("restore 1").done();
    let rows = own.rows("SELECT username FROM users ORDER BY id", &[]).await.expect("readable");
    let rows: Vec<_> = rows.into_iter().flatten().flatten().collect();
    assert_eq!(rows, ["a", "b"]);
    run("rollback").done();
    let after = database.catalog().await;
    assert_eq!(after.tables, before.tables);
    for verb in ["expand", "backfill", "contract --soak 0s"] {
        run(verb).done();
    }
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}

/// A runner that lost its lock without noticing is stopped at its next transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_was_taken_over_is_fenced() {
    use zdmig::dialect::{SessionError, Work};
    use zdmig::journal::{Entry, EntryKind};
    use zdmig::plan::{Fingerprint, StepId};
    for product in ["postgres", "sqlite"] {
        let (database, _project) = project(product).await;
        let mut session = database.session().await;
        session.exclusive("the first").await.expect("alone");
        let lease = if product == "sqlite" { "zdmig_lease" } else { "zdmig.lease" };
        database.script(&format!("UPDATE {lease} SET token = token + 1")).await;
        let entry = Entry {
            step: StepId::stored("1_rename/expand/x"),
            plan: Fingerprint::stored("f"),
            at: chrono::Utc::now(),
            by: "the first".into(),
            kind: EntryKind::Finished { rows: 0 },
        };
        let drop = [zdmig::sql::Sql::new("DROP TABLE users")];
        let outcome = session.commit(&Work { sql: &drop, entry: &entry }).await;
        assert!(matches!(outcome, Err(SessionError::Fenced)), "{outcome:?}");
        assert_eq!(database.catalog().await.tables.len(), 1, "nothing was done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_never_taken_back() {
    for product in ["postgres", "sqlite"] {
        let database = Database::of(product, "verbs").await;
        database
            .script(&format!("{SCHEMA}; CREATE INDEX users_username ON users (username);"))
            .await;
        let sql = "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY);\n\
                   CREATE INDEX IF NOT EXISTS users_username ON users (username);\n";
        let project = Project::new(&database).migration("1_again", sql);
        let before = database.catalog().await;
        project.run("expand").done();
        project.run("rollback 1").done();
        assert_eq!(database.catalog().await, before);
    }
}

#[test]
fn a_new_migration_has_a_name_and_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| {
        Ran::from("new", program(folder.path()).args(args).output().expect("it starts"))
    };
    let one = run(&["new", "Rename", "username"]).done();
    let two = run(&["new", "Rename", "username"]).done();
    assert_ne!(one.out, two.out, "two files in one second have two versions");
    assert!(one.out.trim().ends_with("_rename_username.sql"), "{one:?}");
    run(&["check"]).done().says(&["2 files, nothing to complain about"]);
    run(&["new"]).exits(2).says(&["needs a name"]);
}

#[test]
fn check_reads_without_a_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| {
        Ran::from("check", program(folder.path()).args(args).output().expect("it starts"))
    };
    std::fs::write(folder.path().join("1_a.sql"), "ALTER TABLE t RENAM a TO b;").expect("written");
    run(&["check", "1_a.sql"]).exits(10).says(&["syntax", "1_a.sql:1"]);
    std::fs::write(folder.path().join("2_b.sql"), "DO $$ BEGIN END $$;").expect("written");
    let ran = run(&["check", "2_b.sql", "--format", "json"]).exits(10);
    let report: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(report["files"][0]["findings"][0]["code"], "opaque");
    for (format, words) in [
        ("sarif", &["\"version\": \"2.1.0\"", "\"ruleId\": \"syntax\"", "\"startLine\": 1"][..]),
        ("gitlab", &["\"check_name\": \"syntax\"", "\"path\": \"1_a.sql\""][..]),
        ("github", &["::error file=1_a.sql,line=1,", "title=syntax::"][..]),
        (
            "junit",
            &["<testcase classname=\"zdmig.check\" name=\"1_a.sql\"", "<failure type=\"syntax\""][..],
        ),
        ("markdown", &["<!-- zdmig:check -->", "**syntax** `1_a.sql:1:"][..]),
    ] {
        run(&["check", "1_a.sql", "--format", format]).exits(10).says(words);
        run(&["status", "--format", format]).exits(2);
    }
    run(&["check", "missing.sql"]).exits(2);
    run(&["check"]).exits(2).says(&["there is no folder `migrations`"]);
}

/// All phases at once are for databases that nobody uses.
#[tokio::test(flavor = "multi_thread")]
async fn apply_is_refused_while_a_version_is_on_record() {
    for product in ["postgres", "sqlite"] {
        let database = Database::of(product, "apply").await;
        database.script("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))").await;
        let project = Project::new(&database).migration("1_drop", "ALTER TABLE t DROP COLUMN a;");
        project.run("deploy record --service api --version 1").done();
        project.run("apply").exits(11).says(&["api 1 may be at work", "deploy end"]);
        project.run("deploy end --service api --version 1").done();
        project.run("apply").done().says(&["1_drop: applied"]);
        let tables = database.catalog().await.tables;
        assert!(tables.values().all(|table| table.columns.len() == 1));
    }
}

/// A hazard is allowed for a project, and a function is let through by name.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_allows_hazards_and_lets_functions_through() {
    let database = Database::postgres("allow").await;
    database
        .script(
            "CREATE TABLE t (id int, a int, b int) PARTITION BY LIST (id);
             CREATE TABLE t_1 PARTITION OF t DEFAULT; INSERT INTO t VALUES (1, 1, 1);
             CREATE FUNCTION reads_t() RETURNS int LANGUAGE plpgsql
                 AS $$ BEGIN RETURN (SELECT b FROM t LIMIT 1); END $$",
        )
        .await;
    let sql = "ALTER TABLE t ALTER COLUMN a TYPE bigint; ALTER TABLE t DROP COLUMN b;";
    let project = Project::new(&database).migration("1_wide", sql).config(OPEN_GATE);
    project.run("expand").exits(10).says(&["table-rewrite"]);
    let allowed = format!("{OPEN_GATE}[[allow]]\nhazard = \"table-rewrite\"\nreason = \"small\"\n");
    project.write("zdmig.toml", &allowed);
    project.run("expand").done();
    project.run("backfill").done();
    project.run("contract").exits(11).says(&["reads_t() names public.t.b"]);
    let waived = format!("{allowed}[[waive]]\nfunction = \"reads_t()\"\nreason = \"unused\"\n");
    project.write("zdmig.toml", &waived);
    project.run("contract").done();
}

/// Files that were written for other runners are read as they are: the way back is left out.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_runners_are_taken_as_they_are() {
    let database = Database::postgres("foreign").await;
    let project = Project::new(&database);
    for (name, text) in [
        ("1_a.up.sql", "-- no-transaction\nCREATE TABLE a (id int PRIMARY KEY);"),
        ("1_a.down.sql", "DROP TABLE a;"),
        (
            "2_b.sql",
            "-- migrate:up\nCREATE TABLE b (id int PRIMARY KEY);\n-- migrate:down\nDROP TABLE b;\n",
        ),
        (
            "3_c.sql",
            "-- +goose Up\n-- +goose StatementBegin\nCREATE TABLE c (id int PRIMARY KEY);\n-- +goose StatementEnd\n-- +goose Down\nDROP TABLE c;\n",
        ),
    ] {
        project.write(&format!("migrations/{name}"), text);
    }
    std::fs::create_dir(project.path("migrations/2026-01-02-030405_d")).expect("a folder");
    project.write("migrations/2026-01-02-030405_d/up.sql", "CREATE TABLE d (id int PRIMARY KEY);");
    project.write("migrations/2026-01-02-030405_d/down.sql", "DROP TABLE d;");
    project.run("check").done().says(&["4 files"]);
    project.run("apply").done().says(&["1_a: applied", "2026-01-02-030405_d: applied"]);
    let tables = database.catalog().await.tables;
    let names: Vec<_> = tables.keys().map(|table| table.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[test]
fn completions_and_man_pages_are_generated() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| {
        Ran::from("generate", program(folder.path()).args(args).output().expect("it starts"))
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).done().out.contains("backfill"));
    }
    run(&["man", "pages"]).done();
    let page = std::fs::read_to_string(folder.path().join("pages/zdmig-expand.1"));
    assert!(page.expect("a page").contains("expand"));
    run(&["--version"]).done().says(&["zdmig 0."]);
    run(&["--help"]).done().says(&["expand", "backfill", "contract", "purge", "rollback"]);
}

#[test]
fn the_demo_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let output =
        program(folder.path()).args(["demo", "--rows", "5000"]).output().expect("it starts");
    Ran::from("demo", output).done().says(&[
        "REFUSE",
        "PASS",
        "restored",
        "purged",
        "no statement failed, and no write was lost",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_loses_nothing_on_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = crate::support::server();
    let output = program(folder.path())
        .args(["demo", "--rows", "5000", "--database-url", &url])
        .output()
        .expect("it starts");
    Ran::from("demo", output).done().says(&[
        "REFUSE",
        "PASS",
        "restored",
        "purged",
        "no statement failed, and no write was lost",
    ]);
}

/// An approval must not end with the next row.
#[tokio::test(flavor = "multi_thread")]
async fn rows_do_not_change_a_fingerprint() {
    for product in ["postgres", "sqlite"] {
        let (database, project) = project(product).await;
        let project = project.migration("2_index", "CREATE INDEX users_name ON users (username);");
        std::fs::remove_file(project.path("migrations/1_rename.sql")).expect("removed");
        let drop = "ALTER TABLE users DROP COLUMN username;";
        for (name, sql) in [("3_rename", RENAME), ("4_drop", drop)] {
            project.write(&format!("migrations/{name}.sql"), sql);
            if name == "4_drop" {
                std::fs::remove_file(project.path("migrations/3_rename.sql")).expect("removed");
            }
            let id = name.split('_').next().expect("a number");
            project.run(&format!("plan {id} -o plan.json")).done();
            let before = std::fs::read_to_string(project.path("plan.json")).expect("saved");
            database
                .script(
                    "INSERT INTO users (id) SELECT coalesce(max(id), 0) + 1 FROM users; ANALYZE",
                )
                .await;
            project.run(&format!("plan {id} -o plan.json")).done();
            let after = std::fs::read_to_string(project.path("plan.json")).expect("saved");
            let print = |text: &str| {
                let plan: serde_json::Value = serde_json::from_str(text).expect("JSON");
                plan["fingerprint"].clone()
            };
            assert_eq!(print(&before), print(&after), "{product} {name}");
        }
    }
}

/// What is pending is planned in order, each file against the world that those before it make.
#[tokio::test(flavor = "multi_thread")]
async fn several_pending_files_are_planned_together() {
    for product in ["postgres", "sqlite"] {
        let (_database, project) = project(product).await;
        let project = project
            .migration(
                "2_orders",
                "CREATE TABLE orders (id INTEGER PRIMARY KEY, note VARCHAR(9) DEFAULT '');",
            )
            .migration("3_index", "CREATE INDEX orders_note ON orders (note);")
            .migration("4_rename", "ALTER TABLE orders RENAME COLUMN note TO remark;");
        project.run("plan").done().says(&["1_rename", "2_orders", "3_index", "4_rename"]);
        project.run("expand").done();
        for verb in ["backfill", "contract"] {
            project.run(verb).done();
        }
        project.run("status --exit-code").done();
    }
}

/// Without a database the files before a file say what it changes; a snapshot says it exactly.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_plan_know_the_tables_from_the_files_or_from_a_snapshot() {
    let database = Database::postgres("snapshot").await;
    let project = Project::new(&database)
        .migration("1_a", "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE lone (n int);")
        .config(OPEN_GATE);
    for verb in ["expand", "backfill", "contract"] {
        project.run(verb).done();
    }
    database.script("INSERT INTO a SELECT g, g FROM generate_series(1, 1000) g; ANALYZE").await;
    project
        .write("migrations/2_b.sql", "ALTER TABLE lone ALTER COLUMN n TYPE bigint USING n * 2;\n");
    project.write("migrations/3_c.sql", "ALTER TABLE a ADD COLUMN word text NOT NULL;\n");
    // The files do not say that `lone` is empty.
    let said = &["2_b.sql:1:1", "one-way-sync", "3_c.sql:1:1", "has no default"];
    project.run("check").exits(10).says(said);
    project.run("check migrations/1_a.sql").done();
    project.run("check migrations/3_c.sql").exits(10).says(&["has no default", "next: "]);
    project.run("snapshot -o catalog.json").done().says(&["2 tables, no data"]);
    let text = std::fs::read_to_string(project.path("catalog.json")).expect("a snapshot");
    assert!(!text.contains("postgres://"), "an address in a snapshot");
    // The snapshot does, and knows which files are done.
    let ran = project
        .run("check --catalog catalog.json")
        .exits(10)
        .says(&["3_c.sql", "2 files, 1 finding"]);
    assert!(!ran.out.contains("2_b.sql"), "{}", ran.out);
    project
        .write("migrations/3_c.sql", "ALTER TABLE a ADD COLUMN word text NOT NULL DEFAULT '';\n");
    project.run("check --catalog catalog.json").done().says(&["nothing to complain about"]);
    let offline = |line: &str| {
        let mut command = project.command(line);
        command.env_remove("ZDMIG_DATABASE_URL");
        Ran::from(line, command.output().expect("it starts"))
    };
    let planned = offline("plan 3 --catalog catalog.json --format json").done();
    let live = project.run("plan 3 --format json").done();
    assert_eq!(planned.out, live.out, "a snapshot and the database give different plans");
    project.write("catalog.json", "{\"zdmig_snapshot\": 9}");
    offline("plan --catalog catalog.json").exits(2).says(&["format 9", "use a newer zdmig"]);
}

/// A copy of the schema that is made for it and dropped again: the database itself, which holds
/// migrations in flight, stays as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_verified_on_a_copy_of_its_own() {
    let database = Database::postgres("verify_own").await;
    database
        .script(
            "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('ok');
             CREATE TABLE app.users (id bigint PRIMARY KEY, name text NOT NULL, mood app.mood);
             CREATE TABLE orders (id int PRIMARY KEY, user_id bigint REFERENCES app.users);
             INSERT INTO app.users SELECT g, 'n' FROM generate_series(1, 100) g;",
        )
        .await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE app.users RENAME COLUMN name TO full_name;")
        .config(OPEN_GATE);
    project.run("expand").done();
    project.write(
        "migrations/2_more.sql",
        "ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT '';
         CREATE INDEX orders_user ON orders (user_id);
         ALTER TABLE orders ALTER COLUMN user_id SET NOT NULL;",
    );
    let before = database.catalog().await;
    let ran = project.run("plan 2_more --verify").done();
    ran.says(&["measured on the scratch database", "build-orders_user", "same"]);
    // The server's own words, not only its counters.
    let ran = project.run("plan 2_more --verify --format json").done();
    ran.says(&["building index \\\"orders_user\\\" on table \\\"orders\\\""]);
    project.write(
        "migrations/3_rewrite.sql",
        "-- zdmig:allow table-rewrite because \"small\"
         ALTER TABLE orders SET UNLOGGED;",
    );
    let ran = project.run("plan 3_rewrite --verify --format json").done();
    ran.says(&["rewriting table \\\"orders\\\""]);
    assert_eq!(database.catalog().await, before);
    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'zdmig_scratch_%'";
    let rows = database.client().await.rows(left, &[]).await.expect("a count");
    assert_eq!(rows[0][0].as_deref(), Some("0"));
}
