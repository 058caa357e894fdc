//! New migrations, from templates.

use crate::support::{Database, OPEN_GATE, Project, ask};

fn only(project: &Project) -> String {
    let mut files: Vec<_> = std::fs::read_dir(project.path("migrations"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    std::fs::read_to_string(files.last().expect("a file")).expect("a text")
}

/// Each template that comes with zdmig is a migration that runs as it stands.
#[tokio::test(flavor = "multi_thread")]
async fn every_template_runs_as_it_stands() {
    let listed = Project::at("sqlite://none.db").run("new --list --format json").done().out;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let listed = listed["templates"].as_array().expect("a list");
    assert!(listed.len() >= 9);
    let database = Database::postgres("templates").await;
    database
        .script(
            "CREATE TABLE users (id bigint PRIMARY KEY, username text, country text, nickname text,
                                 points integer);
             CREATE TABLE people (id bigint PRIMARY KEY, name text);
             CREATE TABLE orders (id integer PRIMARY KEY, user_id bigint);
             INSERT INTO users VALUES (1, 'ann', NULL, 'a', 3); INSERT INTO people VALUES (1, 'ann lee');
             INSERT INTO orders VALUES (1, 1)",
        )
        .await;
    let project = Project::new(&database).config(OPEN_GATE);
    for one in listed {
        let name = one[0].as_str().expect("a name");
        let made = project.run(&format!("new --template {name} try {name}")).done();
        made.says(&["migrations/", "zdmig plan"]);
        project.run("apply").done();
    }
    let mut client = database.client().await;
    let row = "SELECT email || country || score || (SELECT last FROM people) FROM users";
    assert_eq!(ask(&mut *client, row).await, "annunknown0lee");
}

#[test]
fn a_project_has_templates_of_its_own() {
    let project = Project::at("sqlite://none.db");
    std::fs::create_dir(project.path("migrations/templates")).expect("a folder");
    project.write(
        "migrations/templates/default.sql",
        "-- {{name}} ({{id}}), {{author}} at {{date}}\nSET LOCAL statement_timeout = '5s';\n",
    );
    let ran = Project::run(&project, "new rename username to email").done();
    let id = ran.out.trim().trim_start_matches("migrations/").trim_end_matches(".sql").to_owned();
    let text = only(&project);
    assert!(
        text.starts_with(&format!("-- rename username to email ({id}), unknown at 20")),
        "{text}"
    );
    project.run("new --list").done().says(&["migrations/templates/default.sql", "foreign-key"]);
    project.run("new --template none x").exits(2).says(&["no template `none`", "new --list"]);
    project.run("new --template ../x x").exits(2).says(&["no name of a template"]);
    project.run("new").exits(2);
    // Another folder.
    std::fs::create_dir(project.path("mine")).expect("a folder");
    project.write("mine/team.sql", "SELECT 1;\n");
    project.write("zdmig.toml", "templates = \"mine\"\n");
    project.run("new -t team two").done();
    assert_eq!(only(&project), "SELECT 1;\n");
}

/// A team that comes with a long history has what is new checked, and nothing else.
#[test]
fn what_was_run_long_ago_is_not_checked() {
    let project = Project::at("postgres://nobody@127.0.0.1:1/none")
        .migration("1_old", "CREATE TABLE a (id integer); DROP SCHEMA old;")
        .migration("2_newer", "ALTER TABLE a ADD COLUMN b integer; ALTER TABLE a DROP COLUMN c;");
    project.run("check").exits(10).says(&["migrations/1_old.sql"]);
    project.write("zdmig.toml", "check_after = \"1_old\"\n");
    let ran = project.run("check");
    assert!(!ran.out.contains("1_old.sql"), "{}", ran.out);
    ran.says(&["1 file"]);
    project.write("zdmig.toml", "check_after = \"old\"\n");
    project.run("check").exits(2).says(&["`check_after`", "zdmig.toml", "as `2026"]);
}

/// Where a project is not at the top of its repository, reports name files from there.
#[test]
fn reports_name_files_from_the_top_of_the_repository() {
    let project = Project::at("sqlite://none.db").migration("1_a", "DROP SCHEMA old;");
    for (format, words) in [
        ("github", "file=services/shop/migrations/1_a.sql"),
        ("sarif", "\"services/shop/migrations/1_a.sql\""),
        ("gitlab", "\"services/shop/migrations/1_a.sql\""),
    ] {
        let line =
            format!("check --dialect postgres --path-prefix services/shop/ --format {format}");
        project.run(&line).exits(10).says(&[words]);
    }
}
