//! Failures that a reviewer found, so that they do not come back.

use crate::support::{Database, OPEN_GATE, Project, attach, unique};

async fn stage(product: &str, schema: &str, migration: &str) -> (Database, Project) {
    let database = Database::of(product, "again").await;
    database.script(schema).await;
    let project = Project::new(&database).migration("1_change", migration).config(OPEN_GATE);
    (database, project)
}

async fn rows(database: &Database, query: &str) -> Vec<String> {
    let rows = database.client().await.rows(query, &[]).await.expect("rows");
    rows.into_iter()
        .map(|row| {
            row.into_iter()
                .map(|cell| cell.unwrap_or_else(|| "NULL".into()))
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect()
}

const USERS: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(40));
                     INSERT INTO users VALUES (1, 'a'), (2, 'b');";
const RENAME: &str = "ALTER TABLE users RENAME COLUMN username TO email;";

/// A role without `pg_read_all_stats` sees nothing of other roles' sessions but their names.
#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_owner_sees_the_sessions_of_others() {
    let (database, project) = stage("postgres", USERS, RENAME).await;
    let (owner, app) = (unique("owner"), unique("app"));
    let name = database.url.rsplit('/').next().expect("a name");
    database
        .script(&format!(
            "CREATE ROLE {owner} LOGIN; CREATE ROLE {app} LOGIN; ALTER DATABASE \"{name}\" OWNER TO {owner};
             ALTER TABLE users OWNER TO {owner}; GRANT SELECT ON users TO {app};"
        ))
        .await;
    project.write(
        "zdmig.toml",
        &format!("[[consumer]]\nname = \"web\"\nidle = true\nroles = [\"{app}\"]\n[[waive]]\nrole = \"postgres\"\nreason = \"t\"\n[[waive]]\nrole = \"{owner}\"\nreason = \"t\"\n"),
    );
    let url = |role: &str| database.url.replacen("postgres@", &format!("{role}@"), 1);
    let run = |line: &str| {
        let output = project.command(line).args(["--database-url", &url(&owner)]).output();
        crate::support::Ran::from(line, output.expect("it starts"))
    };
    run("expand").done();
    run("backfill").done();
    run("gate 1").done().says(&["PASS"]);
    let _session = attach(&url(&app), "web@1#a").await;
    run("gate 1").exits(12).says(&["U_NO_USAGE", "web@1 is live"]);
}

/// A role that inherits nothing may still SET ROLE to one that may.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_inherit_is_known_to_the_gate() {
    let (database, project) = stage("postgres", USERS, RENAME).await;
    let (group, member) = (unique("readers"), unique("member"));
    project.run("expand").done();
    project.run("backfill").done();
    project.run("gate 1").done();
    database
        .script(&format!(
            "CREATE ROLE {group}; GRANT SELECT ON users TO {group}; CREATE ROLE {member} LOGIN NOINHERIT IN ROLE {group};"
        ))
        .await;
    project.run("gate 1").exits(12).says(&["U_UNMAPPED_ROLE", &member]);
}

/// A policy that hides rows from the owner would hide them from the fill and its proof.
#[tokio::test(flavor = "multi_thread")]
async fn forced_row_security_fails_and_hides_nothing() {
    let (database, project) = stage("postgres", USERS, RENAME).await;
    let owner = unique("owner");
    let name = database.url.rsplit('/').next().expect("a name");
    database
        .script(&format!(
            "CREATE ROLE {owner} LOGIN; ALTER DATABASE \"{name}\" OWNER TO {owner}; ALTER TABLE users OWNER TO {owner};
             ALTER TABLE users ENABLE ROW LEVEL SECURITY; ALTER TABLE users FORCE ROW LEVEL SECURITY;
             CREATE POLICY none ON users USING (false);"
        ))
        .await;
    let url = database.url.replacen("postgres@", &format!("{owner}@"), 1);
    let run = |line: &str| {
        let output = project.command(line).args(["--database-url", &url]).output();
        crate::support::Ran::from(line, output.expect("it starts"))
    };
    run("expand").done();
    run("backfill").exits(15).says(&["row-level security"]);
    run("rollback").done();
}

/// A default is compared as the column stores it, and never hides what was written.
#[tokio::test(flavor = "multi_thread")]
async fn defaults_do_not_win_over_what_was_written() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, price numeric(10,2) NOT NULL DEFAULT 0, f double precision DEFAULT 1.0);";
    let (database, project) = stage(
        "postgres",
        schema,
        "ALTER TABLE t RENAME price TO cost; ALTER TABLE t RENAME f TO g;",
    )
    .await;
    project.run("expand").done();
    database.script("INSERT INTO t (id, price, f) VALUES (1, 9.99, 3); INSERT INTO t (id, cost, g) VALUES (2, 8.5, 4); INSERT INTO t (id) VALUES (3)").await;
    assert_eq!(
        rows(
            &database,
            "SELECT id::text, price::text, cost::text, f::text, g::text FROM t ORDER BY id"
        )
        .await,
        ["1|9.99|9.99|3|3", "2|8.50|8.50|4|4", "3|0.00|0.00|1|1"]
    );

    let schema = "CREATE TABLE t (id int PRIMARY KEY, status text NOT NULL DEFAULT 'active');";
    let migration = "-- zdmig:reverse t.status = CASE WHEN active THEN 'active' ELSE 'gone' END
        ALTER TABLE t ADD COLUMN active boolean NOT NULL DEFAULT false;
        UPDATE t SET active = (status = 'active');
        ALTER TABLE t DROP COLUMN status;";
    let (database, project) = stage("postgres", schema, migration).await;
    project.run("expand").done();
    database.script("INSERT INTO t (id, active) VALUES (1, false); INSERT INTO t (id, status) VALUES (2, 'gone'); INSERT INTO t (id) VALUES (3)").await;
    assert_eq!(
        rows(&database, "SELECT id::text, status, active::text FROM t ORDER BY id").await,
        ["1|gone|false", "2|gone|false", "3|active|true"]
    );
    project.run("backfill").done();
    project.run("contract").done();
    let default = "SELECT column_default, is_nullable FROM information_schema.columns WHERE table_name = 't' AND column_name = 'active'";
    assert_eq!(rows(&database, default).await, ["false|NO"]);
}

/// Where nothing leads back, the old column gets the default that was moved into the trigger.
#[tokio::test(flavor = "multi_thread")]
async fn a_one_way_mapping_keeps_the_old_default() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, created_at timestamptz DEFAULT now());";
    let migration = "-- zdmig:no-sync t.created_at because \"nobody reads it\"
        ALTER TABLE t ADD COLUMN created_on date;
        UPDATE t SET created_on = created_at::date;
        ALTER TABLE t DROP COLUMN created_at;";
    let (database, project) = stage("postgres", schema, migration).await;
    project.run("expand").done();
    database.script("INSERT INTO t (id, created_on) VALUES (1, '2024-01-01')").await;
    let found = rows(&database, "SELECT created_at IS NOT NULL, created_on::text FROM t").await;
    assert_eq!(found, ["true|2024-01-01"]);
}

/// A rollback that was cut short is finished as a rollback, and bricks nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_half_done_rollback_is_finished_first() {
    let (database, project) =
        stage("postgres", USERS, "CREATE INDEX users_name ON users (username);").await;
    project.run("expand").done();
    let started = "INSERT INTO zdmig.journal (step, plan, kind, detail, written_by)
                   SELECT step, plan, 'undo-started', '{\"kind\":\"undo-started\"}', 'a test' FROM zdmig.journal
                    WHERE kind = 'finished' AND step LIKE '%build%'";
    database.script(started).await;
    project.run("expand").exits(2).says(&["is being rolled back", "zdmig rollback 1_change"]);
    project.run("status").done();
    project.run("rollback 1").done();
    project.run("expand").done();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_over_two_replaced_columns_is_refused() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9), b VARCHAR(9)); CREATE INDEX t_ab ON t (a, b);";
    for product in ["postgres", "sqlite"] {
        let both = "ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t RENAME COLUMN b TO y;";
        let (_database, project) = stage(product, schema, both).await;
        project.run("expand").exits(10).says(&["t_ab", "both replaced"]);
        let (_database, project) =
            stage(product, schema, "ALTER TABLE t RENAME COLUMN a TO x;").await;
        project.run("expand").done();
        let project = project.migration("2_other", "ALTER TABLE t RENAME COLUMN b TO y;");
        project.run("expand").exits(10).says(&["1_change"]);
    }
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY, pos int, UNIQUE (pos) DEFERRABLE INITIALLY DEFERRED);";
    let (_database, project) =
        stage("postgres", schema, "ALTER TABLE t RENAME pos TO place;").await;
    project.run("expand").exits(10).says(&["deferrable"]);
}

/// What a fill had done is forgotten with the migration.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_forgets_how_far_a_fill_had_come() {
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);";
    let (database, project) =
        stage("postgres", schema, "ALTER TABLE t ADD COLUMN token uuid DEFAULT gen_random_uuid();")
            .await;
    project.run("expand").done();
    let half = "INSERT INTO zdmig.fill (step, leaves, rows)
                VALUES ('1_change/backfill/fill-public.t.token', '[]', 50)";
    database.script(half).await;
    project.run("status").done().says(&["50 rows filled"]);
    project.run("rollback").done();
    project.run("expand").done();
    project.run("backfill").done();
    assert_eq!(rows(&database, "SELECT count(*) FROM t WHERE token IS NULL").await, ["0"]);
}

/// What an older zdmig keeps in a database is read as it is, and brought up to date by a run.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_bookkeeping_is_brought_up_to_date() {
    let (database, project) =
        stage("postgres", USERS, "ALTER TABLE users RENAME COLUMN username TO email;").await;
    project.run("expand").done();
    let older = "DROP TABLE zdmig.part, zdmig.runner, zdmig.failed, zdmig.fill, zdmig.steering; DROP SEQUENCE zdmig.token;
                 CREATE TABLE zdmig.watermark (step text PRIMARY KEY); DROP TABLE zdmig.lease;
                 CREATE TABLE zdmig.lease (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
                     token bigint NOT NULL, owner text NOT NULL, since timestamptz NOT NULL DEFAULT now());
                 INSERT INTO zdmig.lease (token, owner) VALUES (7, 'an older one');
                 UPDATE zdmig.format SET version = 1";
    database.script(older).await;
    project.run("status").done().says(&["zdmig backfill"]);
    project.run("backfill").done();
    let wrong = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
    assert_eq!(rows(&database, wrong).await, ["0"]);
    assert_eq!(rows(&database, "SELECT version FROM zdmig.format").await, ["9"]);
    let token = "SELECT (token > 7)::text FROM zdmig.lease WHERE scope = ''";
    assert_eq!(rows(&database, token).await, ["true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_writer_has_one_worker() {
    let (_database, project) =
        stage("sqlite", USERS, "ALTER TABLE users RENAME COLUMN username TO email;").await;
    project.run("expand").done();
    project.run("backfill --workers 2").exits(2).says(&["one writer at a time"]);
    project.run("backfill --workers 0").exits(2).says(&["--workers"]);
    project.run("tune --workers 2").exits(2).says(&["one writer at a time"]);
    project.run("backfill --join").exits(2).says(&["`--join`", "one writer at a time"]);
    project.run("backfill").done();
}

/// A failed statement of the application leaves nothing behind that stops the triggers.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_leaves_the_triggers_at_work() {
    let migration = "-- zdmig:reverse users.username = upper(email)
        ALTER TABLE users ADD COLUMN email VARCHAR(40);
        UPDATE users SET email = lower(username) WHERE email IS NULL;
        CREATE UNIQUE INDEX users_email ON users (email);
        ALTER TABLE users DROP COLUMN username;";
    let (database, project) = stage("sqlite", USERS, migration).await;
    project.run("expand").done();
    project.run("backfill").done();
    let mut client = database.client().await;
    for policy in ["FAIL", "IGNORE", "ABORT", "ROLLBACK"] {
        let sql = format!("UPDATE OR {policy} users SET username = 'B' WHERE id = 1");
        let _ = client.run(&sql, &[]).await;
        client.run("UPDATE users SET username = 'A' WHERE id = 1", &[]).await.expect("a write");
    }
    client.run("UPDATE users SET username = 'NEW' WHERE id = 2", &[]).await.expect("a write");
    client.run("UPDATE users SET email = 'other' WHERE id = 1", &[]).await.expect("a write");
    let found = rows(&database, "SELECT id, username, email FROM users ORDER BY id").await;
    assert_eq!(found, ["1|OTHER|other", "2|NEW|new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_migration_rests_on_is_not_taken_back() {
    for product in ["postgres", "sqlite"] {
        let (_database, project) =
            stage(product, USERS, "ALTER TABLE users ADD COLUMN a VARCHAR(9);").await;
        project.run("expand").done();
        let project = project.migration("2_rename", "ALTER TABLE users RENAME COLUMN a TO b;");
        project.run("expand").done();
        project.run("rollback 1_change").exits(10).says(&["2_rename", "rests on"]);
        project.run("rollback 2_rename").done();
        project.run("rollback 1_change").done();
    }
}

/// The author's UPDATE does all that it says, or is refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_not_shortened() {
    let sql = "UPDATE users SET username = 'x' WHERE username IS NULL OR username = 'b'; ALTER TABLE users ALTER COLUMN username SET NOT NULL;";
    let (_database, project) = stage("postgres", USERS, sql).await;
    project.run("plan").done().says(&["username IS NULL OR username = 'b'", "prove-not-null"]);
    let sql = "-- zdmig:backfill table=users key=username\nUPDATE users SET username = 'x';";
    let (_database, project) = stage("postgres", USERS, sql).await;
    project.run("expand").exits(10).says(&["not unique and NOT NULL"]);
}

/// Contract, restore, contract: as often as one likes.
#[tokio::test(flavor = "multi_thread")]
async fn a_tightening_can_be_restored_and_contracted_again() {
    let sql = "UPDATE users SET username = 'none' WHERE username IS NULL; ALTER TABLE users ALTER COLUMN username SET NOT NULL;";
    let (database, project) = stage("postgres", USERS, sql).await;
    project.run("expand").done();
    project.run("backfill").done();
    for _ in 0..2 {
        project.run("contract 1 --soak 1h").done();
        project.run("restore 1").done();
        database.script("INSERT INTO users (id) VALUES (3)").await;
        assert_eq!(
            rows(&database, "DELETE FROM users WHERE id = 3 RETURNING username").await,
            ["none"]
        );
    }
    project.run("contract 1").done();
    let after = "SELECT is_nullable FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'username'";
    assert_eq!(rows(&database, after).await, ["NO"]);
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}

/// Privileges are put back as they were, and what was changed meanwhile stays changed.
#[tokio::test(flavor = "multi_thread")]
async fn privileges_survive_a_retire_exactly() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int);";
    let (database, project) = stage("postgres", schema, "ALTER TABLE t RENAME a TO a2;").await;
    let names: Vec<String> =
        ["writer", "reader", "narrow", "late", "gone"].iter().map(|n| unique(n)).collect();
    let [writer, reader, narrow, late, gone] = names.as_slice() else { panic!("five") };
    for name in &names {
        database.script(&format!("CREATE ROLE {name} LOGIN")).await;
        project.write(
            "zdmig.toml",
            &format!(
                "{}[[waive]]\nrole = \"{name}\"\nreason = \"t\"\n",
                std::fs::read_to_string(project.path("zdmig.toml")).expect("read")
            ),
        );
    }
    database
        .script(&format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON t TO {writer}; GRANT SELECT ON t TO {reader} WITH GRANT OPTION;
             GRANT SELECT (a, b), UPDATE (c) ON t TO {narrow}; GRANT SELECT ON t TO {gone}; GRANT REFERENCES ON t TO PUBLIC;"
        ))
        .await;
    let acl = "SELECT (SELECT string_agg(g::text, ',' ORDER BY g::text) FROM unnest(relacl) g) FROM pg_class WHERE relname = 't'
               UNION ALL SELECT attname || ':' || (SELECT string_agg(g::text, ',' ORDER BY g::text) FROM unnest(attacl) g)
                 FROM (SELECT * FROM pg_attribute WHERE attrelid = 't'::regclass AND attacl IS NOT NULL AND NOT attisdropped ORDER BY attname) a";
    let before = rows(&database, acl).await;
    for verb in ["expand", "backfill"] {
        project.run(verb).done();
    }
    let expanded = rows(&database, acl).await;
    project.run("contract 1 --soak 1h").done();
    let may = format!(
        "SELECT has_column_privilege('{writer}', 't', 'a', 'SELECT'), has_column_privilege('{narrow}', 't', 'a', 'SELECT'), has_column_privilege('{writer}', 't', 'b', 'UPDATE')"
    );
    assert_eq!(rows(&database, &may).await, ["false|false|true"]);
    project.run("restore 1").done();
    assert_eq!(rows(&database, acl).await, expanded);
    project.run("contract 1 --soak 1h").done();
    database
        .script(&format!("GRANT SELECT (id, b) ON t TO {late}; REVOKE SELECT ON t FROM {gone};"))
        .await;
    project.run("purge 1 --soak 0s").done();
    let may = format!(
        "SELECT has_column_privilege('{late}', 't', 'b', 'SELECT'), has_table_privilege('{gone}', 't', 'SELECT'), has_table_privilege('{writer}', 't', 'SELECT, INSERT')"
    );
    assert_eq!(rows(&database, &may).await, ["true|false|true"]);
    assert_ne!(before, Vec::<String>::new());
}

/// Several columns of a table are retired side by side, by one file and by two, and put back in
/// any order: each time with the privileges that were there, to the byte.
#[tokio::test(flavor = "multi_thread")]
async fn several_columns_of_a_table_are_retired_and_put_back_in_any_order() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int, d int);";
    let drops = "ALTER TABLE t DROP COLUMN a, DROP COLUMN d;";
    let (database, project) = stage("postgres", schema, drops).await;
    let project = project.migration("2_b", "ALTER TABLE t DROP COLUMN b;");
    let (app, auditor) = (unique("app"), unique("auditor"));
    database
        .script(&format!(
            "CREATE ROLE {app} LOGIN; GRANT SELECT, INSERT ON t TO {app} WITH GRANT OPTION;
             CREATE ROLE {auditor} LOGIN; GRANT SELECT (id, b), UPDATE (a) ON t TO {auditor};"
        ))
        .await;
    let waived = |role: &str| format!("[[waive]]\nrole = \"{role}\"\nreason = \"a test\"\n");
    let config = format!("{OPEN_GATE}{}{}", waived(&app), waived(&auditor));
    project.write("zdmig.toml", &config);
    let grants = "SELECT relacl::text FROM pg_class WHERE relname = 't' UNION ALL
                  SELECT attname || coalesce(attacl::text, '') FROM pg_attribute
                   WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY 1";
    let may = |column: &str| {
        format!("SELECT has_column_privilege('{app}', 't', '{column}', 'SELECT')::text")
    };
    let before = rows(&database, grants).await;
    project.run("expand").done();
    project.run("backfill").done();
    for (first, second) in [("1", "2"), ("2", "1")] {
        project.run("contract 1 --soak 1h").done();
        project.run("contract 2 --soak 1h").done();
        for column in ["a", "b", "d"] {
            assert_eq!(rows(&database, &may(column)).await, ["false"], "{column}");
        }
        assert_eq!(rows(&database, &may("c")).await, ["true"]);
        project.run(&format!("restore {first}")).done();
        let back = if first == "1" { "a" } else { "b" };
        assert_eq!(rows(&database, &may(back)).await, ["true"]);
        project.run(&format!("restore {second}")).done();
        assert_eq!(rows(&database, grants).await, before, "{first} before {second}");
    }
    project.run("contract 1 --soak 1h").done();
    project.run("contract 2 --soak 1h").done();
    project.run("purge 1 --soak 0s").done();
    project.run("purge 2 --soak 0s").done();
    assert_eq!(database.leftovers().await, Vec::<String>::new());
    let table = "SELECT relacl::text FROM pg_class WHERE relname = 't'";
    let found = rows(&database, table).await;
    assert!(before.contains(&found[0]), "{found:?} in {before:?}");
}

/// A rollback asks who uses what would go; what nobody knows does not hold it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_does_not_drop_what_a_live_version_uses() {
    for product in ["postgres", "sqlite"] {
        let (_database, project) = stage(product, USERS, RENAME).await;
        project.run("expand").done();
        project.write(
            "two.json",
            "{\"zdmig_usage\":1,\"service\":\"api\",\"version\":\"2\",\"complete\":true,\"items\":[{\"table\":\"users\",\"read\":[\"email\"]}]}",
        );
        project.run("usage publish two.json").done();
        project.run("heartbeat --service api --version 2 --instance a").done();
        project.run("rollback").exits(11).says(&["api@2 is live", "--anyway"]);
        project.run("heartbeat --service api --version 2 --instance a --bye").done();
        project.run("rollback").done();
        project.run("expand").done();
        project.run("heartbeat --service api --version 2 --instance a").done();
        project.run("rollback --anyway").done();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_a_typo_is_told() {
    for product in ["postgres", "sqlite"] {
        let (_database, project) = stage(product, USERS, RENAME).await;
        let manifest = |table: &str, column: &str, version: &str| {
            format!(
                "{{\"zdmig_usage\":1,\"service\":\"api\",\"version\":\"{version}\",\"complete\":true,\"items\":[{{\"table\":\"{table}\",\"read\":[\"{column}\"]}}]}}"
            )
        };
        project.write("a.json", &manifest("usres", "username", "1"));
        project.run("usage publish a.json").done().says(&["table `usres`"]);
        project.write("a.json", &manifest("users", "user_name", "2"));
        project.run("usage publish a.json").done().says(&["column `users.user_name`"]);
        project.write("a.json", &manifest("users", "username", "3"));
        assert!(!project.run("usage publish a.json").done().err.contains("warning"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_statement_is_not_finished() {
    let (_database, project) = stage("sqlite", USERS, "-- to be written\n").await;
    project.run("expand").exits(10).says(&["no statement yet"]);
    project.write("migrations/1_change.sql", RENAME);
    project.run("expand").done();
}

/// A migration that was rolled back may come again, though newer ones were run meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_migration_may_come_again() {
    let (_database, project) =
        stage("sqlite", USERS, "ALTER TABLE users ADD COLUMN a VARCHAR(9);").await;
    let project = project.migration("2_b", "ALTER TABLE users ADD COLUMN b VARCHAR(9);");
    project.run("expand").done();
    project.run("rollback 1_change").done();
    project.run("plan").done().says(&["1_change"]);
    project.run("expand").done();
    project.run("status --exit-code").done();
}

/// What psql would refuse for the rows that are there is refused before anything is done,
/// however late the step that needs it; what the same file mends first is not.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_later_phase_would_choke_on_are_found_before_the_first() {
    const SCHEMA: &str = "CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE t (id int PRIMARY KEY, p_id int, n int, word text);
        INSERT INTO p VALUES (1);
        INSERT INTO t VALUES (1, 1, 1, '1'), (2, 7, 1, 'two'), (3, NULL, NULL, '3');";
    let broken = [
        "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p;",
        "ALTER TABLE t ADD CONSTRAINT t_n CHECK (n > 1);",
        "ALTER TABLE t ADD CONSTRAINT t_n UNIQUE (n);",
        "CREATE UNIQUE INDEX t_n ON t (n);",
        "ALTER TABLE t ALTER COLUMN n SET NOT NULL;",
        "ALTER TABLE t ALTER COLUMN word TYPE int USING word::int;",
        "CREATE TABLE other (id int); ALTER TABLE t ADD COLUMN x int;
         ALTER TABLE t ADD CONSTRAINT t_n CHECK (n IS NOT NULL);",
        "CREATE INDEX t_word ON t ((word::int));",
        "CREATE FUNCTION number(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1::int';
         CREATE INDEX t_word ON t (number(word));",
        "ALTER TABLE t ADD COLUMN x int;
         WITH updated AS (SELECT id, word FROM t)
         UPDATE t u SET x = w.word::int FROM updated w WHERE w.id = u.id;",
        "INSERT INTO p SELECT word::int FROM t;",
        "-- zdmig:allow table-rewrite because \"a test\"
         ALTER TABLE t ADD COLUMN x int GENERATED ALWAYS AS (word::int) STORED;",
        "ALTER TABLE t RENAME COLUMN word TO words; ALTER TABLE t ALTER COLUMN n SET NOT NULL;",
        "ALTER TABLE t ALTER COLUMN id SET NOT NULL; ALTER TABLE t ALTER COLUMN n SET NOT NULL;",
        "ALTER TABLE t DROP COLUMN word; ALTER TABLE t ADD CONSTRAINT t_n UNIQUE (n);",
        "UPDATE p SET id = t.p_id FROM t WHERE t.id > p.id;",
        "INSERT INTO p (id) SELECT p_id FROM t WHERE p_id <> 1 OR p_id IS NULL;",
    ];
    for sql in broken {
        let allowed = format!("-- zdmig:allow whole-statement because \"a test\"\n{sql}");
        let database = Database::postgres("premise").await;
        database.script(SCHEMA).await;
        let before = database.catalog().await;
        let project = Project::new(&database).migration("1_tight", &allowed).config(OPEN_GATE);
        project.run("plan 1_tight").done().says(&["before anything"]);
        project.run("expand").exits(10).says(&["do not fit", "nothing was changed"]);
        project.run("status").done().says(&["pending"]);
        assert_eq!(database.catalog().await, before, "{sql}");
        let plain = database.client().await.script(sql).await;
        assert!(plain.is_err(), "psql takes it: {sql}");
    }
    let mended = [
        "UPDATE t SET p_id = NULL WHERE p_id NOT IN (SELECT id FROM p);
         ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p;",
        "INSERT INTO p VALUES (7); ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p;",
        "ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN n int;
         ALTER TABLE t ADD CONSTRAINT t_n UNIQUE (n);",
        "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p NOT VALID;",
    ];
    for sql in mended {
        let database = Database::postgres("mended").await;
        database.script(SCHEMA).await;
        let allowed = format!("-- zdmig:allow not-repeatable because \"a test\"\n{sql}");
        let project = Project::new(&database).migration("1_tight", &allowed).config(OPEN_GATE);
        for verb in ["expand", "backfill", "contract"] {
            project.run(verb).done();
        }
    }
}

/// A purge that the server refuses has taken nothing, so everything can still be taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_failed_is_no_end_of_the_way_back() {
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 2, 3)";
    let (database, project) = stage("postgres", schema, "ALTER TABLE t DROP COLUMN a;").await;
    let before = database.catalog().await;
    for line in ["expand", "backfill", "contract --soak 1h"] {
        project.run(line).done();
    }
    let of_the_kept_column =
        "DO $$ BEGIN EXECUTE (SELECT format('CREATE VIEW v AS SELECT %I FROM t',
        attname) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum = 2); END $$";
    database.script(of_the_kept_column).await;
    project.run("purge 1 --soak 0s").exits(15);
    database.script("DROP VIEW v").await;
    project.run("rollback 1").done();
    assert_eq!(database.catalog().await, before);
}
