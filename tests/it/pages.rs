//! Plans in other forms: whatever the JSON says of a step, they say, and nothing of it as markup.

use crate::support::{Database, Project};

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

async fn every_step(product: &str) {
    let database = Database::of(product, "pages").await;
    let schema = "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(20), note VARCHAR(20), gone VARCHAR(20))";
    database.script(schema).await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .migration("2_index", "CREATE INDEX users_note ON users (note);")
        .migration(
            "3_drop",
            "-- zdmig:allow table-rewrite because \"<b>small</b> & `fast`\"\nALTER TABLE users DROP COLUMN gone;",
        );
    project.run("snapshot -o catalog.json");
    let plans = project.run("plan --format json").out;
    let plans: serde_json::Value = serde_json::from_str(&plans).expect("JSON");
    let (markdown, html) =
        (project.run("plan --format markdown").out, project.run("plan --format html").out);
    let plans = plans.as_array().expect("several plans");
    assert_eq!(plans.len(), 3);
    for plan in plans {
        let fingerprint = plan["fingerprint"].as_str().expect("a fingerprint");
        assert!(
            html.contains(fingerprint) && markdown.contains(&fingerprint[..10]),
            "{fingerprint}"
        );
        for step in plan["steps"].as_array().expect("steps") {
            let id = step["id"].as_str().expect("an id");
            let (_, slug) = id.rsplit_once('/').expect("a slug");
            assert!(html.contains(&escaped(slug)) && markdown.contains(&escaped(slug)), "{slug}");
            for sql in step["lowered"]["sql"].as_array().expect("statements") {
                let sql = sql.as_str().expect("SQL");
                assert!(html.contains(&escaped(sql)), "{sql}");
                assert!(markdown.contains(sql), "{sql}");
            }
            for lock in step["lowered"]["locks"].as_array().into_iter().flatten() {
                let mode = lock["mode"].as_str().expect("a mode");
                assert!(html.contains(mode) && markdown.contains(mode), "{mode}");
            }
        }
    }
    assert!(html.contains("default-src 'none'") && !html.contains("<script"), "{html}");
    assert!(!html.contains("<b>small") && !markdown.contains("<b>small"));
    for target in ["public.users.username", "users.username"] {
        if html.contains(&format!("reads or writes {target}")) {
            return;
        }
    }
    panic!("what the gate will ask is not in the page");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_plan_say_what_its_json_says() {
    every_step("postgres").await;
    every_step("sqlite").await;
}

/// The lines of a plan on a terminal of so many columns.
#[cfg(target_os = "linux")]
fn on_a_terminal(project: &Project, columns: u32) -> Vec<String> {
    let zdmig = env!("CARGO_BIN_EXE_zdmig");
    let line = format!("stty rows 50 cols {columns}; {zdmig} plan --color never");
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(project.folder.path());
    script.env("ZDMIG_DATABASE_URL", project.url()).stdin(std::process::Stdio::null());
    let out = script.output().expect("script, of util-linux, is installed");
    let text = String::from_utf8_lossy(&out.stdout).replace('\r', "");
    assert!(text.contains("next  zdmig expand"), "{text}");
    text.lines().map(str::to_owned).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_fits_the_terminal() {
    let database = Database::of("sqlite", "terminal").await;
    database.script("CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(20))").await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    let (narrow, wide) = (on_a_terminal(&project, 80), on_a_terminal(&project, 160));
    // Statements are never broken, so that they can be copied.
    let words =
        ["  expand ", "  backfill ", "  warning ", "     note ", "     lock ", "     size "];
    for (lines, width) in [(&narrow, 80), (&wide, 160)] {
        let said = lines.iter().filter(|line| words.iter().any(|head| line.starts_with(head)));
        let said: Vec<_> = said.collect();
        assert!(said.len() > 6, "{lines:#?}");
        let long: Vec<_> = said.iter().filter(|line| line.chars().count() > width).collect();
        assert!(long.is_empty(), "{width}: {long:#?}");
    }
    assert!(narrow.len() > wide.len(), "{} and {} lines", narrow.len(), wide.len());
}
