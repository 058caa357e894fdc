//! What people get wrong: a clear message, its own exit code, and nothing changed.

use std::process::Stdio;

use crate::support::{Database, OPEN_GATE, Project, Ran, program, server, unique};

const SCHEMA: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(40))";
const RENAME: &str = "ALTER TABLE users RENAME COLUMN username TO email;";

async fn with(product: &str, name: &str, sql: &str) -> (Database, Project) {
    let database = Database::of(product, "bad").await;
    database.script(SCHEMA).await;
    let project = Project::new(&database).migration(name, sql);
    (database, project)
}

/// The run, and the proof that it left nothing behind: not even our bookkeeping.
async fn refused(product: &str, sql: &str, code: i32, words: &[&str]) {
    let (database, project) = with(product, "1_bad", sql).await;
    let before = database.catalog().await;
    for verb in ["plan", "expand"] {
        project.run(verb).exits(code).says(words);
    }
    assert_eq!(database.catalog().await, before);
    let query = if product == "sqlite" {
        "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'zdmig%'"
    } else {
        "SELECT count(*) FROM pg_namespace WHERE nspname = 'zdmig'"
    };
    let rows = database.client().await.rows(query, &[]).await.expect("a count");
    assert_eq!(rows[0][0].as_deref(), Some("0"), "bookkeeping was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_is_shown_in_its_place() {
    for product in ["postgres", "sqlite"] {
        let sql = "-- first\nALTER TABLE users RENAM COLUMN username TO email;";
        refused(product, sql, 10, &["1_bad.sql:2", "RENAM", "^"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_are_named_and_guessed() {
    for product in ["postgres", "sqlite"] {
        refused(
            product,
            "ALTER TABLE usres RENAME COLUMN username TO email;",
            10,
            &["no table `usres`", "did you mean `users`"],
        )
        .await;
        refused(
            product,
            "ALTER TABLE users RENAME COLUMN user_name TO email;",
            10,
            &["no column `user_name`", "did you mean `username`"],
        )
        .await;
        refused(
            product,
            "ALTER TABLE users RENAME COLUMN username TO id;",
            10,
            &["id` exists already"],
        )
        .await;
        refused(
            product,
            "-- zdmig:alow opaque because \"x\"\nSELECT 1;",
            10,
            &["`alow` is no directive"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused_or_allowed() {
    for (product, sql) in [
        ("postgres", "DO $$ BEGIN PERFORM 1; END $$;"),
        ("sqlite", "CREATE VIEW v AS SELECT id FROM users;"),
    ] {
        refused(product, sql, 10, &["opaque", "zdmig:expand"]).await;
        let allowed = format!("-- zdmig:allow opaque because \"a view nobody reads yet\"\n{sql}");
        let (_database, project) = with(product, "1_view", &allowed).await;
        project.run("expand").done();
        project.run("rollback 1_view").exits(10).says(&["cannot be taken back"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_is_drift() {
    for product in ["postgres", "sqlite"] {
        let (_database, project) = with(product, "1_rename", RENAME).await;
        project.run("expand").done();
        project
            .write("migrations/1_rename.sql", "ALTER TABLE users RENAME COLUMN username TO mail;");
        for verb in ["expand", "backfill", "plan", "contract"] {
            project.run(verb).exits(13).says(&["1_rename.sql", "was changed after"]);
        }
        // Line ends and blanks at their ends are not an edit.
        project.write(
            "migrations/1_rename.sql",
            "ALTER TABLE users RENAME COLUMN username TO email; \r\n",
        );
        project.run("backfill").done();
        std::fs::remove_file(project.path("migrations/1_rename.sql")).expect("removed");
        project.run("expand").exits(13).says(&["is gone"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_unique_and_in_order() {
    let (_database, project) = with("sqlite", "5_rename", RENAME).await;
    let project = project.migration("005_other", "ALTER TABLE users ADD COLUMN a TEXT;");
    project.run("plan").exits(2).says(&["005_other.sql", "5_rename.sql", "same version"]);
    std::fs::remove_file(project.path("migrations/005_other.sql")).expect("removed");
    project.run("expand").done();
    let project = project.migration("4_late", "ALTER TABLE users ADD COLUMN a TEXT;");
    project.run("expand").exits(13).says(&["4_late.sql", "older than `5_rename`"]);
    std::fs::remove_file(project.path("migrations/4_late.sql")).expect("removed");
    project.write("migrations/nameless.sql", "SELECT 1;");
    project.run("plan").exits(2).says(&["nameless", "does not start with a version"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_3_and_secrets_stay_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    for url in [
        "postgres://me:s3cret@127.0.0.1:1/db",
        "sqlite:///nowhere/at/all.db",
        "postgres://me@127.0.0.1:1/db?password=s3cret",
    ] {
        let output = program(folder.path())
            .args(["status", "-v", "--database-url", url])
            .output()
            .expect("it starts");
        let ran = Ran::from("status", output).exits(3).says(&["cannot reach the database"]);
        assert!(!format!("{ran:?}").contains("s3cret"), "{ran:?}");
    }
    let output = program(folder.path()).args(["status"]).output().expect("it starts");
    Ran::from("status", output).exits(2).says(&["no database is named", "ZDMIG_DATABASE_URL"]);
    let output = program(folder.path())
        .args(["status", "--database-url", "oracle://x/y"])
        .output()
        .expect("it starts");
    Ran::from("status", output).exits(2).says(&["oracle://"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_3_and_is_not_printed() {
    let (database, project) = with("postgres", "1_rename", RENAME).await;
    let url = |user: &str, password: &str| {
        database.url.replacen("postgres@", &format!("{user}:{password}@"), 1)
    };
    let plan = |url: &str| {
        let output = project.command("plan").args(["--database-url", url]).output();
        Ran::from("plan", output.expect("it starts"))
    };
    let ran = plan(&url("nobody_at_all", "s3cret")).exits(3).says(&["nobody_at_all"]);
    assert!(!format!("{ran:?}").contains("s3cret"), "{ran:?}");
    // A server of others may let everybody in; the one that scripts/with-postgres boots asks
    // the members of this role for a password.
    if std::env::var_os("ZDMIG_TEST_POSTGRES_SCRAM").is_some() {
        let role = unique("secretive");
        let group =
            "DO $$ BEGIN CREATE ROLE zdmig_scram; EXCEPTION WHEN duplicate_object THEN END $$;";
        let create =
            format!("{group} CREATE ROLE {role} LOGIN PASSWORD 'right' IN ROLE zdmig_scram");
        database.script(&create).await;
        plan(&url(&role, "right")).done();
        let ran = plan(&url(&role, "s3cret")).exits(3).says(&["password authentication failed"]);
        assert!(!format!("{ran:?}").contains("s3cret"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_role_can_read_and_is_told_what_it_lacks() {
    let (database, project) = with("postgres", "1_rename", RENAME).await;
    let role = unique("reader");
    database.script(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON users TO {role};")).await;
    let url = database.url.replacen("postgres@", &format!("{role}@"), 1);
    let run = |verb: &str| {
        let output = project.command(verb).args(["--database-url", &url]).output();
        Ran::from(verb, output.expect("it starts"))
    };
    run("plan").done();
    run("status").done();
    run("expand").exits(15).says(&["permission denied", "CREATE on this database"]);
    assert_eq!(database.catalog().await.tables.len(), 1);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_stdout_that_takes_nothing() {
    let (_database, project) = with("sqlite", "1_rename", RENAME).await;
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let output = project.command("expand").stdout(full).stderr(Stdio::piped()).output();
    Ran::from("expand", output.expect("it starts")).exits(2).says(&["stdout does not take"]);
    // The work was done all the same.
    project.run("status").done().says(&["expanded"]);
    let mut child = project.command("plan").stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "a closed pipe is no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_out_of_turn_and_ids_that_are_not_there() {
    let (_database, project) = with("sqlite", "1_rename", RENAME).await;
    let project = project.config(OPEN_GATE);
    project.run("backfill 1_rename").exits(2).says(&["not expanded yet", "zdmig expand 1_rename"]);
    project.run("contract 1_rename").exits(2).says(&["not expanded yet"]);
    project.run("expand 2_other").exits(2).says(&["no migration is called `2_other`"]);
    project.run("rollback").exits(2).says(&["nothing to take back"]);
    project.run("expand").done();
    project.run("contract 1_rename").exits(11).says(&["E_BACKFILL"]);
    project.run("purge 1_rename").exits(11).says(&["E_BACKFILL"]);
    project.run("frobnicate").exits(2).says(&["unrecognized subcommand"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_in_the_hands_of_another_migration_is_refused() {
    let (_database, project) = with("sqlite", "1_rename", RENAME).await;
    project.run("expand").done();
    let project = project.migration("2_again", "ALTER TABLE users RENAME COLUMN email TO mail;");
    project.run("expand 2").exits(10).says(&["users.email", "1_rename", "zdmig rollback 1_rename"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hand_removed_is_drift() {
    let (database, project) = with("postgres", "1_rename", RENAME).await;
    project.run("expand").done();
    let query = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'zzz_zdmig%'";
    let rows = database.client().await.rows(query, &[]).await.expect("a trigger");
    let trigger = rows[0][0].clone().expect("a name");
    database.script(&format!("DROP TRIGGER \"{trigger}\" ON users")).await;
    project.run("backfill").exits(13).says(&["changed the schema by hand", "sync-public.users"]);
}

/// `pg_hba` aside, the server of the tests must be one that lets us in.
#[tokio::test(flavor = "multi_thread")]
async fn the_test_server_answers() {
    assert!(server().starts_with("postgres"));
}

/// A line of the configuration that cannot be read is not shown: it may hold a password.
#[test]
fn a_broken_configuration_shows_no_password() {
    let project = Project::at("sqlite://none.db");
    for (broken, place) in [
        ("pace = \"fast\"\ndatabase_url = \"postgres://u:secretpw@127.0.0.1:1/x", "line 2: "),
        ("pace = \"fast\"\nwebhook = \"https://x/secretpw\" junk", "line 2: "),
        ("database_url = [\"postgres://u:secretpw@127.0.0.1:1/x\"]", "expected a string"),
    ] {
        project.write("zdmig.toml", broken);
        let ran = project.run("status").exits(2).says(&["zdmig.toml", place]);
        assert!(!format!("{}{}", ran.out, ran.err).contains("secretpw"), "{}", ran.err);
    }
}
