//! zdmig as a crate, in a program that starts.

use std::time::Duration;

use zdmig::Zdmig;
use zdmig::plan::Phase;

use crate::support::{Database, OPEN_GATE, Project, ask};

const FILES: &[(&str, &str)] = &[
    ("2_rename.sql", "ALTER TABLE users RENAME COLUMN username TO email;"),
    ("1_users", "CREATE TABLE users (id integer PRIMARY KEY, username text);"),
];

/// Ten instances start at once: each step is done once, and each of them goes on.
#[tokio::test(flavor = "multi_thread")]
async fn ten_instances_expand_once() {
    for product in ["postgres", "sqlite"] {
        let database = Database::of(product, "library").await;
        let zdmig = Zdmig::new(&database.url).embedded(FILES).expect("files");
        let starts: Vec<_> = (0..10)
            .map(|_| {
                let zdmig = zdmig.clone();
                tokio::spawn(async move { zdmig.expand().await })
            })
            .collect();
        let mut steps = 0;
        for start in starts {
            let done = start.await.expect("no panic").expect("it expands");
            steps += done.iter().map(|one| one.steps).sum::<u64>();
        }
        let status = zdmig.status().await.expect("a status");
        assert_eq!(status["migrations"][1]["state"], "expanded", "{status}");
        let mut client = database.client().await;
        let table = if product == "sqlite" { "zdmig_journal" } else { "zdmig.journal" };
        let finished = format!("SELECT count(*) FROM {table} WHERE kind = 'finished'");
        assert_eq!(ask(&mut *client, &finished).await, steps.to_string());
        zdmig.wait_until(Phase::Expand, Duration::ZERO).await.expect("expanded");
        let late = zdmig.wait_until(Phase::Backfill, Duration::ZERO).await.expect_err("not yet");
        assert_eq!((late.code, late.message.contains("2_rename")), (14, true), "{late:?}");
        assert_eq!(zdmig.backfill().await.expect("filled")[0].state, "ready");
    }
}

/// What is refused says why, and what to do, as the program does.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_has_the_code_and_the_reasons() {
    let database = Database::sqlite().await;
    let project = Project::new(&database).config(OPEN_GATE);
    let denied = [("1_a", "CREATE TABLE a (id integer); SELECT nothing FROM a;")];
    let zdmig = Zdmig::new(&database.url).embedded(&denied).expect("a file");
    let failed = zdmig.expand().await.expect_err("refused");
    assert_eq!(failed.code, 10, "{failed:?}");
    assert!(!failed.next.is_empty());
    let twice = [("1_a", ""), ("01_b.sql", "")];
    assert_eq!(Zdmig::new(&database.url).embedded(&twice).expect_err("twice").code, 2);
    let away = Zdmig::new("postgres://nobody@127.0.0.1:1/none").embedded(FILES).expect("files");
    assert_eq!(away.status().await.expect_err("away").code, 3);
    // Nobody said who uses the database, so the gate does not know.
    let zdmig = Zdmig::new(&database.url).embedded(FILES).expect("files");
    zdmig.expand().await.expect("expanded");
    zdmig.backfill().await.expect("filled");
    let refused = zdmig.contract().await.expect_err("the gate");
    assert!([11, 12].contains(&refused.code), "{refused:?}");
    let reasons = refused.answer.expect("a verdict")["reasons"].as_array().map(Vec::len);
    assert!(reasons.is_some_and(|count| count > 0));
    let zdmig = zdmig.config(project.path("zdmig.toml"));
    assert_eq!(zdmig.contract().await.expect("it passes").last().expect("one").state, "done");
    // In each schema that the configuration names.
    let database = Database::postgres("library_schemas").await;
    let one = "CREATE SCHEMA tenant_1; CREATE SCHEMA tenant_2";
    database.script(one).await;
    project.write("zdmig.toml", &format!("schemas = \"tenant_*\"\n{OPEN_GATE}"));
    let zdmig = Zdmig::new(&database.url).embedded(FILES).expect("files");
    let zdmig = zdmig.config(project.path("zdmig.toml"));
    let done = zdmig.expand().await.expect("expanded");
    let mut names: Vec<_> = done.iter().map(|one| one.migration.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(names[0], "1_users@tenant_1");
    let odd = [("1_a@b", "")];
    assert_eq!(Zdmig::new(&database.url).embedded(&odd).expect_err("an @").code, 2);
}
