//! Waiting, for a database and for a phase, as an init container does it.

use std::process::Stdio;
use std::time::Duration;

use crate::own_server::{Server, fresh};
use crate::support::{Database, OPEN_GATE, Project, Ran};

/// A database that is not there yet is waited for, and one that goes meanwhile too.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_is_waited_for() {
    let Some((bin, folder)) = fresh().await else { return };
    let mut server = Server::start(&bin, &folder.path().join("one"), "");
    server.stop();
    let project = Project::at(&server.url()).migration("1_a", "CREATE TABLE a (id integer);");
    let limited = project.run("wait --for-database --timeout 1s").exits(3);
    limited.says(&["waiting: cannot reach the database"]);
    let start = |line: &str| {
        let mut command = project.command(line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let database = start("wait --for-database --timeout 60s");
    let expanded = start("wait --for expanded --timeout 90s");
    tokio::time::sleep(Duration::from_millis(800)).await;
    server.start_again();
    let ran = Ran::from("wait", database.wait_with_output().expect("it ends")).done();
    ran.says(&["answers"]);
    // Away once more, while somebody waits for a phase.
    server.stop();
    tokio::time::sleep(Duration::from_millis(800)).await;
    server.start_again();
    project.run("expand").done();
    let ran = Ran::from("wait", expanded.wait_with_output().expect("it ends")).done();
    ran.says(&["1_a is done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_waited_for_where_none_is_named() {
    let database = Database::sqlite().await;
    let project = Project::new(&database)
        .config(OPEN_GATE)
        .migration("1_a", "CREATE TABLE a (id integer PRIMARY KEY, b text);")
        .migration("2_b", "ALTER TABLE a RENAME COLUMN b TO c;");
    project.run("wait --for expanded --timeout 0s").exits(14).says(&["`1_a` is still pending"]);
    project.run("expand").done();
    project.run("wait --for expanded --timeout 0s").done().says(&["all 2 migrations"]);
    project.run("wait --for backfilled --timeout 0s").exits(14).says(&["2_b", "zdmig backfill"]);
    project.run("wait --for-database 2").exits(2);
    // Nothing is written, and so nothing is made.
    let empty = Database::sqlite().await;
    Project::new(&empty).run("wait --for-database").done();
    let mut client = empty.client().await;
    let made = client.rows("SELECT name FROM sqlite_schema", &[]).await.expect("an answer");
    assert!(made.is_empty(), "{made:?}");
}
