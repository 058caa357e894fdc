//! A rollback puts back what was: what a statement only says once more, or what somebody had
//! before, is not taken away with it.

use crate::corpus::{differs, dump};
use crate::crash::{Journey, plan_of, travel};
use crate::support::{Database, OPEN_GATE, Project};

const SCHEMA: &str = "
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE SCHEMA side;
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE SEQUENCE numbers INCREMENT 5;
    CREATE TABLE t (id int PRIMARY KEY, \"two words\" text NOT NULL, amount numeric, note text)
        WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
    CREATE TABLE open (id int PRIMARY KEY, note text);
    CREATE INDEX t_note ON t (note);
    CREATE FUNCTION f(a int, OUT b int) LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER silent BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE TRIGGER always BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE TRIGGER usual BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
    ALTER TABLE t DISABLE TRIGGER silent, ENABLE ALWAYS TRIGGER always;
    ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, CLUSTER ON t_pkey;
    ALTER TABLE t ALTER note SET STATISTICS 50, ALTER note SET STORAGE EXTERNAL,
        ALTER note SET (n_distinct = 5);
    GRANT SELECT, INSERT ON t TO pg_monitor;
    GRANT SELECT ON t TO pg_read_all_data WITH GRANT OPTION;
    GRANT UPDATE (note) ON t TO pg_monitor;
    GRANT USAGE ON SEQUENCE numbers TO pg_monitor;
    GRANT USAGE ON SCHEMA side TO pg_monitor;
    REVOKE ALL ON FUNCTION f FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION f TO pg_monitor;
    INSERT INTO t VALUES (1, 'a', 1, 'n');";

/// Each says something that is so already, in part or wholly.
const AGAIN: [&str; 34] = [
    "GRANT SELECT ON t TO pg_monitor;",
    "GRANT ALL ON TABLE t TO pg_monitor, postgres;",
    "GRANT SELECT, UPDATE (note, \"two words\") ON t TO pg_monitor;",
    "GRANT SELECT ON t TO pg_monitor WITH GRANT OPTION;",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO pg_monitor, PUBLIC;",
    "GRANT USAGE, UPDATE ON SEQUENCE numbers TO pg_monitor;",
    "GRANT ALL ON SCHEMA side TO pg_monitor;",
    "GRANT EXECUTE ON FUNCTION f(int) TO pg_monitor, pg_read_all_data;",
    "GRANT USAGE ON TYPE mood TO PUBLIC, pg_monitor;",
    "REVOKE ALL ON t FROM PUBLIC;",
    "REVOKE ALL ON t FROM pg_monitor;",
    "REVOKE INSERT, UPDATE ON t FROM pg_monitor, pg_read_all_data;",
    "REVOKE GRANT OPTION FOR SELECT ON t FROM pg_read_all_data;",
    "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, pg_monitor;",
    "REVOKE ALL ON SCHEMA side FROM pg_monitor;",
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY;",
    "ALTER TABLE open ENABLE ROW LEVEL SECURITY;",
    "ALTER TABLE t NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;",
    "ALTER TABLE t ENABLE TRIGGER silent, ENABLE TRIGGER always, ENABLE TRIGGER usual;",
    "ALTER TABLE t DISABLE TRIGGER USER;",
    "DROP TRIGGER always ON t;",
    "ALTER TABLE t SET (fillfactor = 90, toast.autovacuum_enabled = off);",
    "ALTER TABLE t RESET (fillfactor);",
    "ALTER TABLE t CLUSTER ON t_note;",
    "ALTER TABLE open SET (fillfactor = 90);",
    "ALTER TABLE t ALTER note SET STATISTICS 5, ALTER amount SET STATISTICS 5;",
    "ALTER TABLE t ALTER note SET STORAGE MAIN, ALTER amount SET STORAGE EXTERNAL;",
    "ALTER TABLE t ALTER note SET (n_distinct = 9, n_distinct_inherited = 3);",
    "ALTER TABLE t ALTER note RESET (n_distinct);",
    "CREATE TABLE IF NOT EXISTS t (id int); CREATE INDEX IF NOT EXISTS t_note ON t (note);",
    "CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE SCHEMA IF NOT EXISTS side;
     CREATE SEQUENCE IF NOT EXISTS numbers;",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS note text; ALTER TABLE t ALTER note DROP NOT NULL;
     ALTER TABLE t ALTER \"two words\" SET NOT NULL;",
    "-- zdmig:expand
     ALTER TABLE t ADD COLUMN IF NOT EXISTS note text, ADD COLUMN IF NOT EXISTS new int,
         ALTER note DROP NOT NULL, ALTER \"two words\" SET NOT NULL;
     CREATE INDEX IF NOT EXISTS t_note ON t (note); CREATE TABLE IF NOT EXISTS open (id int);",
    "ALTER TABLE t OWNER TO pg_signal_backend;",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_is_there_after_a_rollback() {
    let template = Database::postgres("before").await;
    template.script(SCHEMA).await;
    let before = dump(&template);
    let mut failed = Vec::new();
    for sql in AGAIN {
        let database = Database::postgres_like("again", Some(&template)).await;
        let plan = plan_of(&database, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let journey = travel(&mut *database.session().await, &plan, Journey::Back).await;
        journey.unwrap_or_else(|error| panic!("{sql}: there and back: {error}"));
        let after = dump(&database);
        if after != before {
            let (more, less) = (differs(&after, &before), differs(&before, &after));
            failed.push(format!("{sql}\nmore:\n{more}\nless:\n{less}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// What the file itself did to the rows stays, and may break what it dropped.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_break_what_was_dropped_are_named_and_a_rollback_goes_on_once_they_are_mended() {
    let database = Database::postgres("mended").await;
    database
        .script(
            "CREATE TABLE t (id int PRIMARY KEY, state text CONSTRAINT known CHECK (state <> 'new'));
             INSERT INTO t SELECT g, 'old' FROM generate_series(1, 9) g;",
        )
        .await;
    let before = dump(&database);
    let sql = "ALTER TABLE t DROP CONSTRAINT known;
               UPDATE t SET state = 'new' WHERE state = 'old';
               ALTER TABLE t ADD CONSTRAINT known CHECK (state <> 'old');";
    let project = Project::new(&database).migration("1_change", sql).config(OPEN_GATE);
    project.run("apply").done();
    let said = project.run("rollback 1").exits(15);
    said.says(&["drop-public.t.known` cannot be taken back yet", "mend them first"]);
    database.script("UPDATE t SET state = 'old' WHERE state = 'new'").await;
    project.run("rollback 1").done();
    assert_eq!(dump(&database), before);
}
