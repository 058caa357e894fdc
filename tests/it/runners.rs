//! Two runners at once, a hundred times: one works, the other waits or says that it is busy.

use std::process::Stdio;

use crate::support::{Database, Project, Ran};

fn both(project: &Project, line: &str) -> [Ran; 2] {
    let start = || {
        project
            .command(line)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    };
    let (a, b) = (start(), start());
    [a, b].map(|child| Ran::from(line, child.wait_with_output().expect("it ends")))
}

async fn a_hundred_times(product: &str) {
    let database = Database::of(product, "runners").await;
    database
        .script(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(40));
             CREATE INDEX users_username ON users (username);
             INSERT INTO users VALUES (1, 'a'), (2, 'b')",
        )
        .await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    let before = database.catalog().await;
    let mut busy = 0;
    for turn in 0..50 {
        // Half of the pairs wait for each other, half do not.
        let waits = turn % 2 == 0;
        let wait = if waits { " --wait 30s" } else { " --wait 0s" };
        for verb in ["expand 1_rename", "backfill 1_rename"] {
            let ran = both(&project, &format!("{verb}{wait}"));
            let codes: Vec<_> = ran.iter().map(|one| one.code).collect();
            let fine = |code: &Option<i32>| *code == Some(0) || !waits && *code == Some(14);
            assert!(codes.iter().all(fine) && codes.contains(&Some(0)), "{turn}: {ran:?}");
            busy += codes.iter().filter(|code| **code == Some(14)).count();
        }
        project.run("rollback").done();
    }
    assert!(busy > 0, "the two never met");
    assert_eq!(database.catalog().await, before);
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    a_hundred_times("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    a_hundred_times("sqlite").await;
}
