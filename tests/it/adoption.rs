//! Projects that come from another runner: tables that those runners made, and files beside them.

use std::path::{Path, PathBuf};

use crate::support::{Database, OPEN_GATE, Project, ask};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/histories")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

/// A database and a project as a runner left them.
async fn left_by(history: &str, table: &str) -> (Database, Project) {
    let folder = folder().join(history);
    let product = if history.contains("sqlite") { "sqlite" } else { "postgres" };
    let database = Database::of(product, "adopted").await;
    database.script(&text(&folder.join("schema.sql"))).await;
    database.script(&text(&folder.join(table))).await;
    let project = Project::new(&database).config(OPEN_GATE);
    copy(&folder.join("migrations"), &project.path("migrations"));
    (database, project)
}

fn histories() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("a folder");
    let folders = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let name = |path: PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut names: Vec<_> = folders.map(name).collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    names
}

fn runner(history: &str) -> &str {
    history.split('-').next().expect("a name")
}

/// Every runner's table is read, what it ran is held for run, and what it did not run is run by us.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_runner_ran_is_not_run_again() {
    for history in histories() {
        let tables = std::fs::read_dir(folder().join(&history)).expect("a folder");
        let tables = tables.map(|entry| entry.expect("an entry").file_name());
        for table in tables.map(|name| name.to_string_lossy().into_owned()) {
            if table.starts_with("history") {
                adopted(&history, &table).await;
            }
        }
    }
}

async fn adopted(history: &str, table: &str) {
    let (database, project) = left_by(history, table).await;
    let repeatable = project.path("migrations/R__active_users.sql");
    if repeatable.exists() {
        project.run("adopt").exits(2).says(&["R__active_users", "whenever it changes", "move it"]);
        std::fs::remove_file(&repeatable).expect("moved");
    }
    let dry = project.run("adopt --dry-run").done();
    let name = runner(history);
    let dry = dry.says(&[&format!("3 migrations would be adopted from {name}"), "add_users_note"]);
    assert!(!dry.out.contains("next:"), "{}", dry.out);
    project.run("status").done().says(&["pending"]);
    let ran = project.run("adopt").done();
    ran.says(&[&format!("3 migrations adopted from {name}"), "pending, to be run by zdmig"]);
    // Once more is nothing.
    project.run("adopt").done().says(&["0 migrations adopted"]);
    let status = project.run("status --format json").done().out;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let states: Vec<_> = status["migrations"].as_array().expect("a list").iter().collect();
    let states: Vec<_> = states.iter().map(|one| one["state"].as_str().expect("a word")).collect();
    assert_eq!(states, ["done", "done", "done", "pending"], "{history}");
    for phase in ["expand", "backfill"] {
        project.run(phase).done();
    }
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, "SELECT count(note) FROM users").await, "0", "{history}");
    project.run("expand").done().says(&["nothing to expand"]);
    // The runner's own table is as it was.
    let log = ask(&mut *client, &format!("SELECT count(*) FROM {}", own_table(name))).await;
    assert!(log.parse::<u32>().expect("a number") >= 3, "{history}: {log}");
}

fn own_table(runner: &str) -> &'static str {
    match runner {
        "sqlx" => "_sqlx_migrations",
        "refinery" => "refinery_schema_history",
        "diesel" => "__diesel_schema_migrations",
        "dbmate" => "schema_migrations",
        "goose" => "goose_db_version",
        "flyway" => "flyway_schema_history",
        other => panic!("{other}"),
    }
}

/// A file that is not what was run is found by those runners' own checksums, and nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_is_not_adopted() {
    for history in histories() {
        let summed = ["sqlx", "refinery", "flyway"].contains(&runner(&history));
        let (database, project) = left_by(&history, "history.sql").await;
        let _ = std::fs::remove_file(project.path("migrations/R__active_users.sql"));
        let file = first(&project.path("migrations"));
        std::fs::write(&file, text(&file) + "-- changed\n").expect("written");
        let ran = project.run("adopt");
        if !summed {
            ran.done();
            continue;
        }
        ran.exits(13).says(&["not what", "create_users", "--accept"]);
        let mut client = database.client().await;
        let ours = client.rows("SELECT 1 FROM zdmig.journal", &[]).await;
        assert!(ours.is_err(), "{history}: something was written");
        project.run("adopt --accept nobody").exits(2).says(&["no migration is called `nobody`"]);
        project.run("adopt --accept create_users").done().says(&["3 migrations adopted"]);
        project.run("adopt").done().says(&["0 migrations adopted"]);
    }
}

/// The first migration's file, however deep.
fn first(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.to_string_lossy().contains("create_users"));
    paths.retain(|path| !path.to_string_lossy().ends_with(".down.sql"));
    let path = paths.pop().expect("the first one");
    if path.is_dir() { path.join("up.sql") } else { path }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_over_is_refused() {
    let (database, project) = left_by("sqlx-postgres", "history.sql").await;
    database
        .script("UPDATE _sqlx_migrations SET success = false WHERE version = 20260107113000")
        .await;
    project.run("adopt").exits(13).says(&["sqlx began", "index_users_username", "with sqlx"]);
    database.script("DELETE FROM _sqlx_migrations WHERE version = 20260106101500").await;
    database.script("UPDATE _sqlx_migrations SET success = true").await;
    project.run("adopt").exits(13).says(&["add_users_active", "which is older", "with sqlx first"]);
    // Two tables, and the one that is asked for.
    database.script("CREATE SCHEMA old; CREATE TABLE schema_migrations (version text)").await;
    project.run("adopt").exits(2).says(&["several runners", "sqlx, dbmate", "--from sqlx"]);
    database.script("ALTER TABLE schema_migrations SET SCHEMA old").await;
    project.run("adopt --from dbmate").exits(2).says(&["no table `schema_migrations`", "--table"]);
    let named = project.run("adopt --from dbmate --table old.schema_migrations --dry-run").done();
    named.says(&["0 migrations would be adopted from dbmate"]);
    let empty = Database::sqlite().await;
    let project = Project::new(&empty).migration("1_a", "CREATE TABLE a (id integer);");
    project.run("adopt").exits(2).says(&["no other runner's table", "zdmig baseline --all"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_is_taken_at_its_word_and_can_be_taken_back() {
    for product in ["postgres", "sqlite"] {
        let database = Database::of(product, "baseline").await;
        database
            .script("CREATE TABLE a (id integer PRIMARY KEY); CREATE TABLE b (id integer)")
            .await;
        let project = Project::new(&database)
            .config(OPEN_GATE)
            .migration("1_a", "CREATE TABLE a (id integer PRIMARY KEY);")
            .migration("2_b", "CREATE TABLE b (id integer);")
            .migration("3_c", "CREATE TABLE c (id integer);");
        project.run("baseline").exits(2);
        project.run("baseline 2").done().says(&["2 migrations held for run", "1_a", "2_b"]);
        project.run("baseline --forget 3").exits(2).says(&["none of them"]);
        project.run("baseline --forget 2").done().says(&["1 migration pending again", "2_b"]);
        let status = project.run("status").done();
        assert!(status.out.lines().any(|line| line.contains("2_b") && line.contains("pending")));
        project.run("baseline 2").done().says(&["1 migration held for run", "2_b"]);
        project.run("plan").done().says(&["3_c"]);
        project.run("expand").done().says(&["3_c: expanded"]);
        project.run("wait 1 --for purged --timeout 0s").done().says(&["1_a is done"]);
        // What was run is not to be edited.
        project.write("migrations/1_a.sql", "CREATE TABLE a (id bigint PRIMARY KEY);");
        project
            .run("expand")
            .exits(13)
            .says(&["changed after it was adopted", "baseline --forget"]);
        project.write("migrations/1_a.sql", "CREATE TABLE a (id integer PRIMARY KEY);");
        project.run("baseline --forget 2").exits(2).says(&["`3_c` was run after `2_b`"]);
        project.run("baseline --all").done().says(&["0 migrations held for run"]);
        project.run("apply").done();
    }
}
