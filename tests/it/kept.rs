//! Writes, rows and values that must not get lost, each a way in which they could.

use crate::support::{Database, OPEN_GATE, Project};

async fn stage(name: &str, schema: &str, migration: &str) -> (Database, Project) {
    let database = Database::postgres(name).await;
    database.script(schema).await;
    let allowed = format!("-- zdmig:allow unique-copy because \"a test\"\n{migration}");
    let project = Project::new(&database).migration("1_change", &allowed).config(OPEN_GATE);
    (database, project)
}

fn run(project: &Project, lines: &[&str]) {
    for line in lines {
        project.run(line).done();
    }
}

async fn value(database: &Database, query: &str) -> String {
    let rows = database.client().await.rows(query, &[]).await.expect("a row");
    rows.first().and_then(|row| row[0].clone()).unwrap_or_else(|| "NULL".into())
}

/// A fill changes rows elsewhere, by a trigger of the user's or by a foreign key: what keeps
/// columns in step there must see it.
#[tokio::test(flavor = "multi_thread")]
async fn a_fill_does_not_silence_the_triggers_of_other_tables() {
    let (database, project) = stage(
        "silence",
        "CREATE TABLE u (id int PRIMARY KEY, cnt int NOT NULL);
         CREATE TABLE o (id int PRIMARY KEY, uid int, old bool);
         CREATE FUNCTION less() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN UPDATE u SET cnt = cnt - 1 WHERE id = OLD.uid; RETURN NULL; END $$;
         CREATE TRIGGER o_less AFTER DELETE ON o FOR EACH ROW EXECUTE FUNCTION less();
         INSERT INTO u VALUES (1, 3); INSERT INTO o VALUES (1, 1, true), (2, 1, true);",
        "ALTER TABLE u ALTER COLUMN cnt TYPE bigint; DELETE FROM o WHERE old;",
    )
    .await;
    run(&project, &["expand", "backfill", "contract"]);
    assert_eq!(value(&database, "SELECT cnt::text FROM u").await, "1");

    let (database, project) = stage(
        "silence",
        "CREATE TABLE p (id int PRIMARY KEY, old bool);
         CREATE TABLE c (id int PRIMARY KEY, pid int REFERENCES p ON DELETE SET NULL);
         INSERT INTO p VALUES (1, true); INSERT INTO c VALUES (1, 1);",
        "-- zdmig:reverse c.pid = substr(pref, 2)::int
         ALTER TABLE c ADD COLUMN pref text; UPDATE c SET pref = 'p' || pid;
         ALTER TABLE c DROP COLUMN pid;",
    )
    .await;
    run(&project, &["expand", "backfill"]);
    project.write("migrations/2_less.sql", "DELETE FROM p WHERE old;");
    run(&project, &["expand 2", "backfill 2"]);
    assert_eq!(value(&database, "SELECT pref FROM c").await, "NULL");
}

/// A trigger that notes the time of each change notes none for a fill that the author wrote
/// no UPDATE for, and does not keep the two columns apart; and what a trigger writes
/// elsewhere in the table while the fill runs is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_fill_and_the_users_own_triggers_leave_each_other_alone() {
    const SCHEMA: &str = "
        CREATE TABLE t (id int PRIMARY KEY, n int, seen int DEFAULT 0, changed timestamptz);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.changed := now(); RETURN NEW; END $$;
        CREATE TRIGGER t_note BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
        INSERT INTO t SELECT g, g, 0, '2020-01-01' FROM generate_series(1, 100) g;";
    // What it writes into row 1, in whichever column is filled.
    const ELSEWHERE: &str = "
        CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN UPDATE t SET n = n + 1, seen = seen + 1 WHERE id = 1; RETURN NULL; END $$;
        CREATE TRIGGER t_count AFTER UPDATE ON t FOR EACH ROW WHEN (NEW.id = 50)
            EXECUTE FUNCTION count_it();";
    for (change, column) in [
        ("ALTER TABLE t ALTER COLUMN n TYPE bigint;", "n"),
        (
            "-- zdmig:allow body-names-column because \"the trigger goes before contract\"
             ALTER TABLE t RENAME COLUMN n TO m;",
            "m",
        ),
    ] {
        let schema = format!("{SCHEMA}{ELSEWHERE}");
        let (database, project) = stage("elsewhere", &schema, change).await;
        run(&project, &["expand", "backfill"]);
        assert_eq!(value(&database, "SELECT n || ' ' || seen FROM t WHERE id = 1").await, "2 1");
        database.script("DROP FUNCTION count_it CASCADE").await;
        run(&project, &["contract"]);
        let found = value(&database, &format!("SELECT {column}::text FROM t WHERE id = 1")).await;
        assert_eq!(found, "2", "{change}");
        let touched = "SELECT count(*)::text FROM t WHERE changed > '2021-01-01'";
        assert_eq!(value(&database, touched).await, "1", "{change}");
    }
    for (change, column) in [
        (
            "ALTER TABLE t ALTER COLUMN changed TYPE timestamp USING changed AT TIME ZONE 'UTC';
             -- zdmig:reverse t.changed = changed AT TIME ZONE 'UTC'",
            "changed",
        ),
        (
            "-- zdmig:allow body-names-column because \"nothing is written after contract\"
             ALTER TABLE t RENAME COLUMN changed TO updated;",
            "updated",
        ),
    ] {
        let (database, project) = stage("noted", SCHEMA, change).await;
        run(&project, &["expand", "backfill", "contract"]);
        let touched = format!("SELECT count(*)::text FROM t WHERE {column} > '2021-01-01'");
        assert_eq!(value(&database, &touched).await, "0", "{change}");
    }
}

/// A rollback takes back its own rows, and nothing of anybody else's.
#[tokio::test(flavor = "multi_thread")]
async fn seeds_are_taken_back_and_nothing_with_them() {
    let (database, project) = stage(
        "seeds",
        "CREATE TABLE roles (id int PRIMARY KEY, word text);
         CREATE TABLE ur (id int PRIMARY KEY, rid int REFERENCES roles ON DELETE CASCADE);
         CREATE TABLE un (id int PRIMARY KEY, rid int REFERENCES roles ON DELETE SET NULL);
         CREATE TABLE s (data jsonb); INSERT INTO s VALUES ('{\"theme\": \"dark\"}');
         CREATE TABLE part (a int, b text) PARTITION BY LIST (a);
         CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
         CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
         INSERT INTO part VALUES (1, 'app');
         CREATE TABLE later (id int PRIMARY KEY REFERENCES roles DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO roles VALUES (9, 'app');",
        "INSERT INTO roles VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');
         INSERT INTO s VALUES ('{}');
         INSERT INTO part VALUES (2, 'seed');
         INSERT INTO roles (id, word) VALUES (9, 'nothing')
             ON CONFLICT (id) DO UPDATE SET word = excluded.word;",
    )
    .await;
    run(&project, &["expand"]);
    let app = "INSERT INTO ur VALUES (10, 1); INSERT INTO un VALUES (11, 1);
               INSERT INTO later VALUES (2); UPDATE roles SET word = 'mine' WHERE id = 3;";
    database.script(app).await;
    run(&project, &["rollback 1_change"]);
    let left = "SELECT string_agg(id || word, ' ' ORDER BY id) FROM roles";
    assert_eq!(value(&database, left).await, "1a 2b 3mine 9nothing");
    assert_eq!(value(&database, "SELECT rid::text FROM ur").await, "1");
    assert_eq!(value(&database, "SELECT rid::text FROM un").await, "1");
    assert_eq!(
        value(&database, "SELECT string_agg(data::text, ',') FROM s").await,
        "{\"theme\": \"dark\"}"
    );
    assert_eq!(value(&database, "SELECT string_agg(b, ',') FROM part").await, "app");
}

/// A restore gives every value back, or none: what the old type cuts off or rounds is a loss,
/// and what nobody changed is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_gives_back_every_value_or_is_refused() {
    let (database, project) = stage(
        "back",
        "CREATE TABLE t (id int PRIMARY KEY, price numeric(10,2), code varchar(5) CHECK (code <> ''), note text);
         INSERT INTO t VALUES (1, 12.75, 'abc', '');",
        "-- zdmig:allow type-under-code because \"a test\"
         ALTER TABLE t ALTER COLUMN price TYPE int; ALTER TABLE t ALTER COLUMN code TYPE varchar(10);",
    )
    .await;
    run(&project, &["expand", "backfill", "contract --soak 1h"]);
    assert_eq!(value(&database, "SELECT price::text FROM t").await, "13");
    database.script("UPDATE t SET note = 'x'").await;
    run(&project, &["restore 1_change"]);
    assert_eq!(value(&database, "SELECT price::text FROM t").await, "12.75");
    run(&project, &["contract --soak 1h"]);
    database.script("INSERT INTO t (id, price, code) VALUES (2, 3, 'abcdefgh')").await;
    project.run("restore 1_change").exits(15).says(&["the old type cannot"]);
    database.script("DELETE FROM t WHERE id = 2").await;
    run(&project, &["restore 1_change", "rollback 1_change"]);
    assert_eq!(value(&database, "SELECT price || code || note FROM t").await, "12.75abcx");
}

/// What is inserted after a change of type is inserted after it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_the_form_that_the_file_gives_them() {
    for rows in ["INSERT INTO t (id, price) VALUES (1, 2);", ""] {
        let (database, project) = stage(
            "form",
            &format!(
                "CREATE TABLE t (id int PRIMARY KEY, gone int, price numeric, word text); {rows}"
            ),
            "-- zdmig:reverse t.price = price / 100.0
             ALTER TABLE t ALTER COLUMN price TYPE int USING (price * 100)::int;
             ALTER TABLE t DROP COLUMN gone;
             INSERT INTO t (id, price, word) VALUES (9, 500, 'named');
             ALTER TABLE t ALTER COLUMN id TYPE bigint;
             INSERT INTO t (id, price) VALUES (5000000000, 7);",
        )
        .await;
        run(&project, &["expand", "backfill", "contract"]);
        let all = "SELECT string_agg(id || ':' || price, ' ' ORDER BY id) FROM t WHERE id > 1";
        assert_eq!(value(&database, all).await, "9:500 5000000000:7");
    }
}

/// Nor by a file that comes while the change is under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_seed_waits_for_a_change_of_type_in_flight() {
    let (_database, project) = stage(
        "flight",
        "CREATE TABLE t (id int PRIMARY KEY, price numeric, word text); INSERT INTO t VALUES (1, 2);",
        "-- zdmig:reverse t.price = price / 100.0
         ALTER TABLE t ALTER COLUMN price TYPE int USING (price * 100)::int;",
    )
    .await;
    run(&project, &["expand", "backfill"]);
    for insert in ["INSERT INTO t (id, price) VALUES (9, 500);", "INSERT INTO t VALUES (9, 500);"] {
        project.write("migrations/2_seed.sql", insert);
        project.run("expand 2").exits(10).says(&["1_change", "not wholly done"]);
    }
    project.write("migrations/2_seed.sql", "INSERT INTO t (id, word) VALUES (9, 'x');");
    run(&project, &["expand 2"]);
}

/// What a chunk takes away must not change what the next one means.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_in_chunks_deletes_what_the_statement_says() {
    for delete in [
        "DELETE FROM t WHERE n < (SELECT avg(n) FROM tv)",
        "DELETE FROM t WHERE n < half()",
        "DELETE FROM ONLY t WHERE n < 6000",
        "UPDATE ONLY t SET n = 0 WHERE n < 6000",
        "DELETE FROM tree WHERE old",
    ] {
        let allowed = format!(
            "-- zdmig:allow whole-statement because \"a test\"\n\
             -- zdmig:allow not-repeatable because \"a test\"\n{delete};"
        );
        let (database, project) = stage(
            "delete",
            "CREATE TABLE t (id int PRIMARY KEY, n int); CREATE VIEW tv AS SELECT * FROM t;
             CREATE TABLE child () INHERITS (t);
             CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree, old bool);
             CREATE FUNCTION half() RETURNS numeric LANGUAGE sql STABLE AS 'SELECT avg(n) FROM ONLY t';
             INSERT INTO t SELECT g, g FROM generate_series(1, 12000) g;
             INSERT INTO child SELECT g, g - 13000 FROM generate_series(13001, 13002) g;
             INSERT INTO tree SELECT g, CASE WHEN g > 6000 THEN g - 6000 END, true
               FROM generate_series(1, 12000) g;",
            &allowed,
        )
        .await;
        let plain = Database::postgres_like("plain", Some(&database)).await;
        plain.script(delete).await;
        run(&project, &["expand", "backfill", "contract"]);
        let left = "SELECT (SELECT count(*) || ' ' || sum(n) FROM ONLY t) || ' ' ||
                           (SELECT count(*) || ' ' || sum(n) FROM child) || ' ' || count(*) FROM tree";
        assert_eq!(value(&database, left).await, value(&plain, left).await, "{delete}");
    }
}

/// Valid files that were refused, or got stuck.
#[tokio::test(flavor = "multi_thread")]
async fn valid_files_get_through() {
    for (schema, migration) in [
        (
            "CREATE TABLE u (id int PRIMARY KEY);
             CREATE TABLE a (uid int, CONSTRAINT fk_user FOREIGN KEY (uid) REFERENCES u);
             CREATE TABLE b (uid int, CONSTRAINT fk_user FOREIGN KEY (uid) REFERENCES u);
             INSERT INTO u VALUES (1); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);",
            "ALTER TABLE u ALTER COLUMN id TYPE bigint;",
        ),
        (
            "CREATE TABLE t (\"I\"\"d\" int PRIMARY KEY, up int REFERENCES t);
             INSERT INTO t VALUES (1, NULL), (2, 1);",
            "ALTER TABLE t ALTER COLUMN \"I\"\"d\" TYPE bigint;",
        ),
        (
            "CREATE TABLE e (id int PRIMARY KEY, year int, at date, time timestamp,
                 CHECK (extract(year FROM at) = year), CHECK (time > '2000-01-01'::timestamp));
             INSERT INTO e VALUES (1, 2024, '2024-02-02', '2024-02-02');",
            "ALTER TABLE e ALTER COLUMN year TYPE bigint; ALTER TABLE e ALTER COLUMN time TYPE timestamptz;",
        ),
        (
            "CREATE TABLE t (id int PRIMARY KEY, price int, d timestamp); INSERT INTO t VALUES (1, 10, now());",
            "-- zdmig:no-sync t.price because \"a test\"
             ALTER TABLE t ALTER COLUMN price TYPE numeric(12,2) USING price / 3.0;",
        ),
        (
            "CREATE TABLE t (id int PRIMARY KEY, a int, b text, UNIQUE (a) INCLUDE (b));
             INSERT INTO t VALUES (1, 1, 'x');",
            "ALTER TABLE t ALTER COLUMN a TYPE bigint;",
        ),
        (
            "CREATE TABLE t (id int PRIMARY KEY, status text); INSERT INTO t VALUES (1, 'not valid');",
            "ALTER TABLE t ADD CONSTRAINT c CHECK (status IN ('valid', 'not valid'));",
        ),
        (
            "CREATE TABLE o (id int PRIMARY KEY, bad bool);
             CREATE TABLE i (id int PRIMARY KEY, o int REFERENCES o ON DELETE CASCADE, qty int);
             INSERT INTO o VALUES (1, true), (2, false); INSERT INTO i VALUES (1, 1, -1), (2, 2, 1);",
            "DELETE FROM o WHERE bad; ALTER TABLE i ADD CONSTRAINT q CHECK (qty > 0);",
        ),
        (
            "CREATE TABLE i (id int PRIMARY KEY, qty int); INSERT INTO i VALUES (1, 1);
             CREATE FUNCTION ok(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 5';",
            "CREATE OR REPLACE FUNCTION ok(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
             ALTER TABLE i ADD CONSTRAINT q CHECK (ok(qty));",
        ),
    ] {
        let (database, project) = stage("valid", schema, migration).await;
        let plain = Database::postgres_like("plain", Some(&database)).await;
        plain.script(migration).await;
        for line in ["expand", "backfill", "contract --soak 1h", "rollback 1_change"] {
            project.run(line).done();
        }
        run(&project, &["expand", "backfill", "contract"]);
        let (found, expected) = (database.catalog().await, plain.catalog().await);
        assert_eq!(found.tables, expected.tables, "{migration}");
    }
}

/// A sequence that went past the old type's end stands at its end after a restore.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_far_out_can_be_put_back() {
    let (database, project) = stage(
        "far",
        "CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n int);
         INSERT INTO t (n) VALUES (1);",
        "ALTER TABLE t ALTER COLUMN id TYPE bigint;",
    )
    .await;
    run(&project, &["expand", "backfill", "contract --soak 1h"]);
    let far = "SELECT setval(pg_get_serial_sequence('t', 'id'), 3000000000);
               INSERT INTO t (n) VALUES (2); DELETE FROM t WHERE n = 2;";
    database.script(far).await;
    run(&project, &["restore 1_change", "rollback 1_change"]);
    let next = database.client().await.run("INSERT INTO t (n) VALUES (3)", &[]).await;
    assert!(next.is_err_and(|error| error.to_string().contains("maximum")));
}

/// A privilege that was revoked while columns were retired stays revoked.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_meanwhile_stays_revoked() {
    let role = crate::support::unique("app");
    let (database, project) = stage(
        "revoked",
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int);
             CREATE ROLE {role} LOGIN; GRANT ALL ON t TO {role};"
        ),
        "ALTER TABLE t DROP COLUMN a, DROP COLUMN b;",
    )
    .await;
    let config = format!("{OPEN_GATE}[[waive]]\nrole = \"{role}\"\nreason = \"a test\"\n");
    project.write("zdmig.toml", &config);
    run(&project, &["expand", "contract --soak 1h"]);
    database
        .script(&format!("REVOKE ALL ON t FROM {role}; REVOKE ALL (id, c) ON t FROM {role}"))
        .await;
    run(&project, &["restore 1_change"]);
    let may = format!("SELECT has_any_column_privilege('{role}', 't', 'SELECT')::text");
    assert_eq!(value(&database, &may).await, "false");
    database.script(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// Indexes over partitions that the server would name alike, and partitions that go meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn indexes_over_partitions_are_joined_whatever_comes() {
    const SCHEMA: &str = "
        CREATE TABLE ev (id int, at date NOT NULL, kind text, note text) PARTITION BY RANGE (at);
        CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
        INSERT INTO ev SELECT g, '2025-06-01'::date + g, 'k', 'n' FROM generate_series(1, 300) g;";
    let (database, project) = stage(
        "alike",
        SCHEMA,
        "CREATE INDEX ev_l1 ON ev (lower(kind)); CREATE INDEX ev_l2 ON ev (lower(note));
         CREATE INDEX ev_l3 ON ev (lower(kind)) WHERE id > 5;",
    )
    .await;
    run(&project, &["expand"]);
    let query = "SELECT count(*)::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
                 WHERE c.relname LIKE 'ev%' AND indisvalid";
    assert_eq!(value(&database, query).await, "9");
    for (change, says) in [
        ("CREATE UNIQUE INDEX ev_u ON ev (id);", "must have `at`"),
        ("CREATE INDEX CONCURRENTLY ev_c ON ev (id);", "leave CONCURRENTLY out"),
    ] {
        let (_database, project) = stage("alike", SCHEMA, change).await;
        project.run("plan").exits(10).says(&[says]);
    }
    let (database, project) = stage("alike", SCHEMA, "CREATE INDEX ev_k ON ev (kind);").await;
    let plan = project.run("plan -o plan.json 1_change").done();
    assert!(plan.out.contains("build-zdmig_"));
    let mut holder = crate::support::attach(&database.url, "a slow writer").await.client;
    holder.script("BEGIN; LOCK TABLE ev_2 IN ROW EXCLUSIVE MODE").await.expect("held");
    let child = project.command("expand").spawn().expect("it starts");
    for _ in 0..500 {
        let built = "SELECT count(*)::text FROM pg_indexes WHERE tablename = 'ev_1'";
        if value(&database, built).await == "1" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    database.script("ALTER TABLE ev DETACH PARTITION ev_1; DROP TABLE ev_1").await;
    holder.script("COMMIT").await.expect("let go");
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    assert!(output.expect("joined").expect("it ends").status.success());
    let valid = "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'ev_k'::regclass";
    assert_eq!(value(&database, valid).await, "true");
}

/// What a partition had by itself it has again after a restore.
#[tokio::test(flavor = "multi_thread")]
async fn not_null_of_a_partition_survives_a_restore() {
    let (database, project) = stage(
        "parts",
        "CREATE TABLE t (id int, a int) PARTITION BY RANGE (id);
         CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100);
         CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (100) TO (200);
         ALTER TABLE t_1 ALTER COLUMN a SET NOT NULL;
         INSERT INTO t SELECT g, g FROM generate_series(1, 150) g;",
        "ALTER TABLE t ALTER COLUMN a SET NOT NULL;",
    )
    .await;
    let before = database.catalog().await;
    run(&project, &["expand", "backfill", "contract --soak 1h"]);
    database
        .script(
            "CREATE TABLE t_3 (id int, a int NOT NULL);
             ALTER TABLE t ATTACH PARTITION t_3 FOR VALUES FROM (200) TO (300);
             ALTER TABLE t DETACH PARTITION t_3; DROP TABLE t_3",
        )
        .await;
    run(&project, &["restore 1_change", "rollback 1_change"]);
    assert_eq!(database.catalog().await, before);
}

/// A role that may insert, and nothing more, goes on inserting while a new column is counted.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_insert_may_count() {
    let (database, project) = stage(
        "count",
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 50);",
        "ALTER TABLE t ADD COLUMN a serial, ADD COLUMN b int GENERATED ALWAYS AS IDENTITY;",
    )
    .await;
    let role = crate::support::unique("inserter");
    database.script(&format!("CREATE ROLE {role}; GRANT INSERT ON t TO {role}")).await;
    let mut id = 100;
    for verb in ["expand", "backfill", "rollback 1_change", "expand", "backfill", "contract"] {
        project.run(verb).done();
        id += 1;
        let write = format!("SET ROLE {role}; INSERT INTO t (id) VALUES ({id}); RESET ROLE");
        database.script(&write).await;
    }
    let odd = "SELECT count(*)::text FROM t WHERE a IS NULL OR b IS NULL";
    assert_eq!(value(&database, odd).await, "0");
    let twice = "SELECT (count(*) - count(DISTINCT a) + count(*) - count(DISTINCT b))::text FROM t";
    assert_eq!(value(&database, twice).await, "0");
    database.script(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
