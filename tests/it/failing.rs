//! Rows on which a fill fails: they are left out, and tried again.

use crate::support::{Database, OPEN_GATE, Project, ask};

struct Case {
    product: &'static str,
    name: &'static str,
    id: &'static str,
    migration: &'static str,
    /// Rows that are not as they should be at the end.
    wrong: &'static str,
    /// How the failing row with the number 7 is named.
    row: &'static str,
}

const RENAME: &str = "ALTER TABLE users RENAME COLUMN username TO email;";
const RENAMED: &str = "SELECT count(*) FROM users WHERE email IS NULL OR email <> username";

const CASES: &[Case] = &[
    Case {
        product: "postgres",
        name: "failing_pages",
        id: "id bigint PRIMARY KEY",
        migration: RENAME,
        wrong: RENAMED,
        row: "(7) of public.users: not this one (P0001)",
    },
    Case {
        product: "postgres",
        name: "failing_nokey",
        id: "id bigint",
        migration: RENAME,
        wrong: RENAMED,
        row: "((0,7)) of public.users: not this one (P0001)",
    },
    Case {
        product: "postgres",
        name: "failing_keys",
        id: "id bigint, \"b \"\"c\" text DEFAULT 'it''s', PRIMARY KEY (id, \"b \"\"c\")",
        migration: "ALTER TABLE users ADD COLUMN email text;
                    UPDATE users SET email = lower(username) WHERE email IS NULL;",
        wrong: "SELECT count(*) FROM users WHERE email IS DISTINCT FROM lower(username)",
        row: "(7, it's) of public.users: not this one (P0001)",
    },
    Case {
        product: "postgres",
        name: "failing_update",
        id: "id bigint PRIMARY KEY",
        migration: "UPDATE users SET username = upper(username) WHERE username <> upper(username);",
        wrong: "SELECT count(*) FROM users WHERE username <> upper(username)",
        row: "(7) of public.users: not this one (P0001)",
    },
    Case {
        product: "sqlite",
        name: "failing",
        id: "id bigint PRIMARY KEY",
        migration: RENAME,
        wrong: RENAMED,
        row: "(7): not this one",
    },
];

/// Two rows of a thousand fail: every other one is filled, those two are named and kept, and
/// tried again when somebody has mended what makes them fail.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_fail_are_left_out_and_tried_again() {
    for case in CASES {
        let database = Database::of(case.product, case.name).await;
        database
            .script(&format!(
                "CREATE TABLE users ({}, username text);
                 INSERT INTO users (id, username) WITH RECURSIVE s (g) AS
                     (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < 10000)
                 SELECT g, 'user ' || g FROM s; ANALYZE;",
                case.id
            ))
            .await;
        let project =
            Project::new(&database).migration("1_change", case.migration).config(OPEN_GATE);
        project.run("expand").done();
        let (trigger, gone) = match case.product {
            "sqlite" => (
                "CREATE TRIGGER refuse BEFORE UPDATE ON users WHEN NEW.id IN (7, 9007) BEGIN
                     SELECT RAISE(ABORT, 'not this one'); END",
                "DROP TRIGGER refuse",
            ),
            _ => (
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                     $$BEGIN RAISE EXCEPTION 'not this one'; END$$;
                 CREATE TRIGGER refuse BEFORE UPDATE ON users FOR EACH ROW
                     WHEN (NEW.id IN (7, 9007)) EXECUTE FUNCTION refuse()",
                "DROP TRIGGER refuse ON users",
            ),
        };
        database.script(trigger).await;
        let mut client = database.client().await;
        let all = 10_000;
        let left = |text: String| text.parse::<u32>().expect("a number");

        let stopped = project.run("backfill --failed-max 0").exits(15);
        stopped.says(&["left 1 row out that fail, and stopped", "not this one", "--failed-max"]);
        assert!((2..=all).contains(&left(ask(&mut *client, case.wrong).await)), "{}", case.name);
        let ran = project.run("backfill --pace fast").exits(15);
        ran.says(&["left 2 rows out that fail\n", case.row, "then run the same command again"]);
        assert_eq!(ask(&mut *client, case.wrong).await, "2", "{}", case.name);
        project.run("status").done().says(&["failed:", "left 2 rows out"]);
        project.run("backfill").exits(15).says(&["left 2 rows out that fail"]);
        project.run("backfill --retry-failed").exits(15).says(&["left 2 rows out that fail"]);
        database.script(gone).await;
        project.run("backfill --retry-failed").done();
        assert_eq!(ask(&mut *client, case.wrong).await, "0", "{}", case.name);
        project.run("backfill --retry-failed").done().says(&["no row failed"]);
        // The watermark counts what was tried again, too.
        let kept = if case.product == "sqlite" { "zdmig_journal" } else { "zdmig.journal" };
        let filled = format!(
            "SELECT detail FROM {kept} WHERE kind = 'finished' AND step LIKE '%/fill-%' LIMIT 1"
        );
        assert!(ask(&mut *client, &filled).await.contains("10000"), "{}", case.name);
    }
}

/// Whether a row is to be filled is asked by the expression too: that it fails for one row stops no
/// other.
#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_fails_stops_no_other_row() {
    let database = Database::postgres("failing_expression").await;
    let rows = "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL);
                INSERT INTO t SELECT g, g FROM generate_series(1, 2000) g; ANALYZE;";
    database.script(rows).await;
    let add = "ALTER TABLE t ADD COLUMN ratio int;
               UPDATE t SET ratio = 10000 / n WHERE ratio IS NULL;";
    let project = Project::new(&database).migration("1_ratio", add).config(OPEN_GATE);
    project.run("expand").done();
    // Written by code that knows nothing of it.
    database.script("INSERT INTO t (id, n) VALUES (0, 0)").await;
    project.run("backfill").exits(15).says(&[
        "left 1 row out",
        "(0) of public.t",
        "division by zero",
    ]);
    let mut client = database.client().await;
    assert_eq!(ask(&mut *client, "SELECT count(ratio) FROM t").await, "2000");
    database.script("UPDATE t SET n = 5 WHERE id = 0").await;
    project.run("backfill").done();
    assert_eq!(ask(&mut *client, "SELECT count(ratio) FROM t").await, "2001");
}
