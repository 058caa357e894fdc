//! All phases in a maintenance window: what does not fit is not begun, and what the time is not enough for
//! is left where somebody can go on from.

use crate::support::{Database, Project, ask};

const TABLE: &str = "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL);
     INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 120000) g;
     ANALYZE users;";

const RENAME: &str = "ALTER TABLE users RENAME COLUMN username TO email;";

const COLUMNS: &str = "SELECT string_agg(attname::text, ' ' ORDER BY attnum) FROM pg_attribute \
     WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped";

/// By its statistics it takes longer than there is: nothing is begun, and the length that would do is named.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_not_begun() {
    let database = Database::postgres("window").await;
    database.script(TABLE).await;
    let project = Project::new(&database).migration("1_rename", RENAME);
    project.run("apply --window 1s").exits(10).says(&[
        "do not fit into a window of 1s",
        "1_rename: about",
        "next: zdmig apply --window",
    ]);
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, COLUMNS).await, "id username");
    assert_eq!(ask(&mut *client, "SELECT coalesce(to_regclass('zdmig.log')::text, '')").await, "");
    project.run("apply --window 0s").exits(2).says(&["no work fits into no time"]);
    project.run("apply --window soon").exits(2).says(&["--window soon"]);
    project.run("apply --window 10m").done().says(&["in a window of 10m", "1_rename: applied"]);
    assert_eq!(ask(&mut *client, COLUMNS).await, "id email");
}

/// A row that somebody holds keeps the fill from its end until the window is over. Old code can be started
/// then, and the next window goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_closes_leaves_what_old_code_runs_on() {
    let database = Database::postgres("window").await;
    database.script(TABLE).await;
    let project = Project::new(&database).migration("1_rename", RENAME);
    let mut holder = database.client().await;
    holder.script("BEGIN; UPDATE users SET username = 'held' WHERE id = 7").await.expect("a lock");
    // Two migrations' worth of a window would be held up at the first lock: expand wants the table.
    holder.script("COMMIT").await.expect("let go");
    project.run("expand").done();
    holder.script("BEGIN; UPDATE users SET username = 'held' WHERE id = 7").await.expect("a lock");
    project.run("apply --window 6s").exits(20).says(&[
        "the window is over: 1_rename is expanded, and not wholly filled, and the code from before can be started",
        "zdmig apply --window",
        "zdmig rollback 1_rename",
    ]);
    holder.script("COMMIT").await.expect("let go");
    let mut client = database.client().await;
    client.script("UPDATE users SET username = 'old code' WHERE id = 8").await.expect("it writes");
    project.run("apply --window 1m").done().says(&["1_rename: applied"]);
    let both = "SELECT string_agg(email, ' ' ORDER BY id) FROM users WHERE id IN (7, 8, 9)";
    assert_eq!(ask(&mut *client, both).await, "held old code user 9");
}

/// What took longer than could be known leaves too little for the next one, which is not begun.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_rest_of_a_window_is_too_short_for_is_left_to_the_next() {
    let database = Database::postgres("window").await;
    database.script(TABLE).await;
    let project = Project::new(&database)
        .migration(
            "1_slow",
            "-- zdmig:allow opaque because \"a test\"\n-- zdmig:expand\nDO $$ BEGIN PERFORM pg_sleep(4); END $$;\n",
        )
        .migration("2_rename", RENAME);
    project.run("apply --window 5s").exits(20).says(&[
        "1_slow: applied",
        "stopped before 2_rename",
        "left of the window",
    ]);
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, COLUMNS).await, "id username");
    project.run("apply --window 1m").done().says(&["2_rename: applied"]);
    // What fails is gone on with in a window, too.
    let broken = project.migration("3_broken", "-- zdmig:expand\nSELECT 1 / 0;");
    broken.run("apply --window 1m").exits(15).says(&["go on with: zdmig apply --window 1m"]);
}
