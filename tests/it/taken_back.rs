//! A rollback puts back what was: what a statement only says once more, or what somebody had
//! before, is not taken away with it.

use crate::corpus::{differs, dump};
use crate::crash::{Journey, plan_of, watched};
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
    there_and_back(SCHEMA, &AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_away_comes_back_with_all_that_was_said_about_it() {
    there_and_back(MARKED, &TAKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_goes_again_and_what_it_locks_is_told() {
    // Rows of a table cannot change that is published without what tells them apart.
    let schema = format!("{MARKED} {WORKED}");
    there_and_back(&schema, &NEW).await;
}

async fn there_and_back(schema: &str, files: &[&str]) {
    let template = Database::postgres("before").await;
    template.script(schema).await;
    let before = dump(&template);
    let mut failed = Vec::new();
    for sql in files {
        let database = Database::postgres_like("again", Some(&template)).await;
        let plan = match plan_of(&database, sql).await {
            Ok(plan) => plan,
            Err(error) => {
                failed.push(format!("{sql}\n{error}"));
                continue;
            }
        };
        let mut untold = Vec::new();
        let mut session = database.measuring().await;
        let journey = watched(&mut *session, &plan, Journey::Back, &mut untold).await;
        failed.extend(untold.into_iter().map(|one| format!("{sql}\n{one}")));
        if let Err(error) = journey {
            failed.push(format!("{sql}: there and back: {error}"));
            continue;
        }
        let after = dump(&database);
        if after != before {
            let (more, less) = (differs(&after, &before), differs(&before, &after));
            failed.push(format!("{sql}\nmore:\n{more}\nless:\n{less}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// One of each, and everything that can be said about it.
const MARKED: &str = "
    CREATE SCHEMA side;
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TYPE pair AS (a int, b text);
    CREATE TYPE span_of AS RANGE (subtype = numeric);
    CREATE DOMAIN brief AS varchar(20) COLLATE \"C\" DEFAULT 'x' NOT NULL
        CONSTRAINT not_long CHECK (length(value) < 10) CHECK (value <> '');
    CREATE SEQUENCE numbers AS int INCREMENT 5 MINVALUE 2 MAXVALUE 900 START 7 CACHE 3 CYCLE;
    CREATE TABLE parents (id int PRIMARY KEY, name text NOT NULL CONSTRAINT named UNIQUE);
    CREATE TABLE t (id int PRIMARY KEY, parent int CONSTRAINT child REFERENCES parents
        ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED, note text CONSTRAINT short CHECK (length(note) < 9),
        amount numeric NOT NULL, room int4range, CONSTRAINT apart EXCLUDE USING gist (room WITH &&));
    CREATE TABLE side.others (id int PRIMARY KEY);
    CREATE TABLE side.\"odd, one\" (id int PRIMARY KEY, \"two words\" text NOT NULL, c int CHECK (c > 0),
        d int REFERENCES side.others, CONSTRAINT \"a key\" UNIQUE NULLS NOT DISTINCT (\"two words\", c)
        INCLUDE (id) WITH (fillfactor = 60) DEFERRABLE INITIALLY DEFERRED);
    ALTER TABLE side.\"odd, one\" CLUSTER ON \"a key\";
    COMMENT ON CONSTRAINT \"a key\" ON side.\"odd, one\" IS 'said';
    COMMENT ON INDEX side.\"a key\" IS 'said of the index';
    CREATE TYPE two AS (a int, b int);
    CREATE TABLE fields (c two NOT NULL, \"is DEFERRABLE\" int CONSTRAINT hers UNIQUE);
    INSERT INTO fields VALUES (ROW(1, NULL), 1);
    CREATE INDEX fields_hers ON fields (\"is DEFERRABLE\" DESC) WHERE \"is DEFERRABLE\" > 0;
    CREATE SEQUENCE owned OWNED BY t.amount;
    CREATE INDEX t_note ON t USING btree (note DESC NULLS LAST) INCLUDE (amount) WITH (fillfactor = 50)
        WHERE note <> '';
    CREATE INDEX t_lower ON t (lower(note));
    CREATE UNIQUE INDEX t_amount ON t (amount);
    CREATE STATISTICS pairs (ndistinct, dependencies) ON note, amount FROM t;
    ALTER STATISTICS pairs SET STATISTICS 77;
    ALTER INDEX t_lower ALTER COLUMN 1 SET STATISTICS 33;
    CREATE FUNCTION f(a int, OUT b int) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 5
        SET search_path = public AS 'SELECT 1';
    CREATE FUNCTION f(a text) RETURNS text LANGUAGE sql AS 'SELECT $1';
    CREATE PROCEDURE p(a int) LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
    CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER \"one two\" BEFORE UPDATE OF note ON t FOR EACH ROW WHEN (NEW.note <> '') EXECUTE FUNCTION touch('a');
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE VIEW shown WITH (security_barrier = true) AS SELECT id, note AS first FROM t WITH LOCAL CHECK OPTION;
    ALTER VIEW shown ALTER COLUMN first SET DEFAULT 'v';
    CREATE MATERIALIZED VIEW counted WITH (fillfactor = 60) AS SELECT note, count(*) FROM t GROUP BY 1;
    CREATE UNIQUE INDEX counted_note ON counted (note);
    CREATE POLICY mine ON t AS RESTRICTIVE FOR UPDATE TO pg_monitor USING (id > 0) WITH CHECK (id < 9);
    CREATE RULE ignored AS ON UPDATE TO parents WHERE NEW.name = '' DO INSTEAD NOTHING;
    CREATE PUBLICATION news FOR TABLE t (id, note) WHERE (id > 0) WITH (publish = 'insert, update');
    ALTER TABLE t CLUSTER ON t_lower, REPLICA IDENTITY USING INDEX t_amount;
    GRANT USAGE ON SCHEMA side TO pg_monitor;
    GRANT USAGE ON TYPE mood, brief TO pg_monitor;
    REVOKE USAGE ON TYPE mood, pair FROM PUBLIC;
    GRANT SELECT ON numbers, owned TO pg_monitor WITH GRANT OPTION;
    GRANT SELECT, INSERT (first) ON shown TO pg_monitor;
    GRANT SELECT ON counted, t TO pg_monitor;
    GRANT UPDATE (note) ON t TO pg_monitor;
    REVOKE ALL ON FUNCTION f(int) FROM PUBLIC;
    GRANT EXECUTE ON PROCEDURE p TO pg_monitor;
    COMMENT ON SCHEMA side IS 'said';
    COMMENT ON TYPE mood IS 'said';
    COMMENT ON TYPE pair IS 'said';
    COMMENT ON COLUMN pair.a IS 'said';
    COMMENT ON DOMAIN brief IS 'said';
    COMMENT ON CONSTRAINT not_long ON DOMAIN brief IS 'said';
    COMMENT ON SEQUENCE numbers IS 'said';
    COMMENT ON SEQUENCE owned IS 'said';
    COMMENT ON TABLE t IS 'said';
    COMMENT ON COLUMN t.note IS 'said';
    COMMENT ON CONSTRAINT child ON t IS 'said';
    COMMENT ON CONSTRAINT short ON t IS 'said';
    COMMENT ON CONSTRAINT apart ON t IS 'said';
    COMMENT ON CONSTRAINT named ON parents IS 'said';
    COMMENT ON INDEX named IS 'said of the index';
    COMMENT ON INDEX t_note IS 'said';
    COMMENT ON INDEX t_lower IS 'said';
    COMMENT ON STATISTICS pairs IS 'said';
    COMMENT ON FUNCTION f(int) IS 'said';
    COMMENT ON FUNCTION f(text) IS 'said too';
    COMMENT ON PROCEDURE p IS 'said';
    COMMENT ON AGGREGATE total (int) IS 'said';
    COMMENT ON TRIGGER \"one two\" ON t IS 'said';
    COMMENT ON TRIGGER late ON t IS 'said';
    COMMENT ON VIEW shown IS 'said';
    COMMENT ON COLUMN shown.first IS 'said';
    COMMENT ON MATERIALIZED VIEW counted IS 'said';
    COMMENT ON COLUMN counted.count IS 'said';
    COMMENT ON INDEX counted_note IS 'said';
    COMMENT ON POLICY mine ON t IS 'said';
    COMMENT ON RULE ignored ON parents IS 'said';
    COMMENT ON PUBLICATION news IS 'said';";

/// Each takes something away, or another takes its place.
const TAKEN: [&str; 72] = [
    "ALTER TABLE fields RENAME TO meadows; DROP INDEX fields_hers;",
    "ALTER TABLE fields SET SCHEMA side; DROP INDEX side.fields_hers;",
    "ALTER TABLE fields ALTER c DROP NOT NULL; ALTER TABLE fields DROP CONSTRAINT hers;",
    "ALTER TABLE fields RENAME TO meadows; ALTER TABLE meadows DROP CONSTRAINT hers;",
    "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ALTER id DROP NOT NULL;",
    "DROP TABLE side.\"odd, one\", side.others; DROP SCHEMA side;",
    "ALTER TABLE side.\"odd, one\" DROP CONSTRAINT \"a key\";",
    "ALTER TABLE side.\"odd, one\" DROP CONSTRAINT \"odd, one_pkey\", DROP CONSTRAINT \"odd, one_c_check\",
         ALTER \"two words\" DROP NOT NULL;",
    "ALTER TABLE side.\"odd, one\" DROP COLUMN c, DROP COLUMN d;",
    "DROP TYPE mood;",
    "DROP TYPE pair;",
    "DROP TYPE span_of;",
    "DROP DOMAIN brief;",
    "DROP SEQUENCE numbers;",
    "DROP SEQUENCE owned;",
    "DROP STATISTICS pairs;",
    "DROP FUNCTION f(int);",
    "DROP FUNCTION f(text);",
    "DROP FUNCTION f(text); CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 1';",
    "CREATE OR REPLACE FUNCTION f(a text) RETURNS text LANGUAGE sql AS 'SELECT $1 || $1';",
    "DROP PROCEDURE p;",
    "DROP AGGREGATE total (int);",
    "DROP TRIGGER \"one two\" ON t;",
    "DROP TRIGGER late ON t;",
    "DROP VIEW shown;",
    "CREATE OR REPLACE VIEW shown AS SELECT id, note AS first, 1 AS more FROM t;",
    "DROP VIEW shown; CREATE VIEW shown AS SELECT note FROM t;",
    "ALTER VIEW shown RENAME TO other;",
    "ALTER VIEW shown RENAME COLUMN first TO second;",
    "ALTER VIEW shown SET (security_barrier = false);",
    "ALTER VIEW shown ALTER COLUMN first DROP DEFAULT;",
    "DROP MATERIALIZED VIEW counted;",
    "ALTER MATERIALIZED VIEW counted RENAME COLUMN count TO many;",
    "DROP INDEX counted_note;",
    "DROP POLICY mine ON t;",
    "ALTER POLICY mine ON t USING (id > 5);",
    "ALTER POLICY mine ON t RENAME TO ours;",
    "DROP RULE ignored ON parents;",
    "DROP PUBLICATION news;",
    "ALTER PUBLICATION news DROP TABLE t;",
    "ALTER PUBLICATION news ADD TABLE parents;",
    "DROP INDEX t_note;",
    "DROP INDEX t_lower;",
    "DROP INDEX t_amount;",
    "ALTER TABLE t DROP CONSTRAINT child;",
    "ALTER TABLE t DROP CONSTRAINT short;",
    "ALTER TABLE t DROP CONSTRAINT apart;",
    "ALTER TABLE parents DROP CONSTRAINT named;",
    "DROP VIEW shown; DROP MATERIALIZED VIEW counted; DROP TABLE t;",
    "DROP VIEW shown; DROP MATERIALIZED VIEW counted; DROP TABLE t, parents;",
    "ALTER TABLE t DROP CONSTRAINT child; DROP TABLE parents;",
    "ALTER TABLE t REPLICA IDENTITY FULL;",
    "ALTER TABLE t RENAME CONSTRAINT child TO other;",
    "ALTER TABLE parents RENAME CONSTRAINT named TO other;",
    "ALTER TABLE t ALTER CONSTRAINT child NOT DEFERRABLE;",
    "ALTER DOMAIN brief DROP CONSTRAINT not_long; ALTER DOMAIN brief DROP NOT NULL;",
    "ALTER TYPE pair RENAME ATTRIBUTE a TO c;",
    "ALTER TYPE pair ADD ATTRIBUTE c int; ALTER TYPE pair DROP ATTRIBUTE b;",
    "ALTER DOMAIN brief SET DEFAULT 'y'; ALTER DOMAIN brief RENAME CONSTRAINT not_long TO other;",
    "ALTER DOMAIN brief DROP DEFAULT; ALTER DOMAIN brief SET SCHEMA side;",
    "ALTER TYPE mood SET SCHEMA side; ALTER FUNCTION f(int) SET SCHEMA side;",
    "ALTER FUNCTION f(int) VOLATILE COST 9 RESET search_path;",
    "ALTER FUNCTION f(text) RENAME TO g; ALTER PROCEDURE p SECURITY INVOKER;",
    "ALTER TYPE mood OWNER TO pg_signal_backend; ALTER VIEW shown OWNER TO pg_signal_backend;",
    "ALTER FUNCTION f(int) OWNER TO pg_signal_backend; ALTER SEQUENCE numbers OWNER TO pg_signal_backend;",
    "ALTER STATISTICS pairs SET STATISTICS 5; ALTER STATISTICS pairs RENAME TO other;",
    "ALTER INDEX t_note SET (fillfactor = 90); ALTER INDEX t_lower ALTER COLUMN 1 SET STATISTICS 5;",
    "ALTER INDEX t_note RESET (fillfactor);",
    "ALTER MATERIALIZED VIEW counted SET (fillfactor = 90);",
    "ALTER PUBLICATION news SET TABLE parents; ALTER PUBLICATION news SET (publish = 'delete');",
    "COMMENT ON SCHEMA side IS 'new'; COMMENT ON TYPE mood IS NULL; COMMENT ON TYPE pair IS 'new';
     COMMENT ON COLUMN pair.a IS 'new'; COMMENT ON COLUMN pair.b IS 'new';
     COMMENT ON DOMAIN brief IS 'new'; COMMENT ON CONSTRAINT not_long ON DOMAIN brief IS 'new';
     COMMENT ON SEQUENCE numbers IS 'new'; COMMENT ON TABLE t IS 'new';
     COMMENT ON COLUMN t.note IS 'new'; COMMENT ON CONSTRAINT child ON t IS 'new';
     COMMENT ON INDEX t_note IS 'new'; COMMENT ON INDEX parents_pkey IS 'new';
     COMMENT ON STATISTICS pairs IS 'new'; COMMENT ON FUNCTION f(int) IS 'new';
     COMMENT ON PROCEDURE p IS 'new'; COMMENT ON TRIGGER late ON t IS 'new';
     COMMENT ON VIEW shown IS 'new'; COMMENT ON COLUMN shown.first IS 'new';
     COMMENT ON MATERIALIZED VIEW counted IS 'new'; COMMENT ON INDEX counted_note IS 'new';
     COMMENT ON POLICY mine ON t IS 'new'; COMMENT ON PUBLICATION news IS 'new';",
    "ALTER SEQUENCE numbers RESTART 20 NO CYCLE CACHE 1; ALTER SEQUENCE owned OWNED BY NONE;",
];

const WORKED: &str = "
    DROP PUBLICATION news;
    CREATE PUBLICATION news FOR TABLE parents;
    CREATE TABLE plain (id int PRIMARY KEY, name text);
    CREATE VIEW base AS SELECT id FROM plain;
    CREATE VIEW later AS SELECT id FROM base;
    CREATE VIEW early AS SELECT id FROM base JOIN later USING (id);
    CREATE VIEW below AS SELECT id FROM early;
    CREATE VIEW lowest AS SELECT id FROM below;
    CREATE OPERATOR FAMILY kin USING btree;
    CREATE OPERATOR CLASS small FOR TYPE int2 USING btree FAMILY kin AS OPERATOR 1 <, OPERATOR 3 =,
        FUNCTION 1 btint2cmp(int2, int2);
    CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';";

/// Each makes something new, or does some work.
const NEW: [&str; 81] = [
    "CREATE STATISTICS more (mcv) ON note, parent FROM t;",
    "CREATE STATISTICS IF NOT EXISTS side.pairs ON note, parent, (amount + 1) FROM public.t;",
    "CREATE PUBLICATION other FOR TABLE t (id, note) WHERE (id > 3), ONLY parents;",
    "CREATE PUBLICATION whole FOR ALL TABLES WITH (publish = 'insert');",
    "CREATE PUBLICATION one FOR TABLES IN SCHEMA side, TABLE parents;",
    "CREATE POLICY theirs ON parents FOR SELECT USING (true);",
    "CREATE RULE noted AS ON INSERT TO parents DO ALSO NOTHING;",
    "CREATE TRIGGER also AFTER INSERT OR DELETE ON parents FOR EACH STATEMENT EXECUTE FUNCTION touch();",
    "CREATE TRIGGER written INSTEAD OF UPDATE ON shown FOR EACH ROW EXECUTE FUNCTION touch();",
    "CREATE VIEW both_of AS SELECT t.id, p.name FROM t JOIN parents p ON p.id = t.parent;",
    "CREATE VIEW of_view AS SELECT first FROM shown UNION SELECT note FROM counted;",
    "CREATE RECURSIVE VIEW up (n) AS SELECT id FROM parents UNION ALL SELECT n + 1 FROM up WHERE n < 3;",
    "CREATE MATERIALIZED VIEW sums AS SELECT sum(amount) FROM t;",
    "CREATE MATERIALIZED VIEW empty AS SELECT id FROM parents WITH NO DATA; CREATE INDEX empty_id ON empty (id);",
    "CREATE INDEX counted_count ON counted (count);",
    "CREATE INDEX CONCURRENTLY counted_count ON counted (count);",
    "REFRESH MATERIALIZED VIEW counted;",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY counted;",
    "CREATE TABLE likeness (LIKE t INCLUDING ALL);",
    "CREATE TABLE taken AS SELECT t.id, p.name FROM t, parents p;",
    "CREATE TABLE heirs (more int) INHERITS (parents);",
    "CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at); CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');",
    "CREATE UNLOGGED TABLE quick (id int PRIMARY KEY, parent int REFERENCES parents (id), mood mood, b brief);",
    "ALTER TABLE t SET WITHOUT CLUSTER, REPLICA IDENTITY FULL;",
    "ALTER TABLE t ALTER note SET STORAGE EXTERNAL, ALTER note SET COMPRESSION pglz, ALTER amount SET (n_distinct = 5);",
    "ALTER TABLE t SET (autovacuum_enabled = off, fillfactor = 80);",
    "ALTER TABLE parents DISABLE RULE ignored;",
    "ALTER TABLE t ENABLE ALWAYS TRIGGER late;",
    "ALTER TABLE parents OWNER TO pg_monitor;",
    "ALTER INDEX t_note SET (fillfactor = 70);",
    "ALTER INDEX t_lower RENAME TO t_lowered;",
    "ALTER INDEX counted_note SET (fillfactor = 70);",
    "ALTER SEQUENCE owned OWNED BY t.id;",
    "CREATE SEQUENCE fresh OWNED BY parents.id; ALTER TABLE parents ALTER id SET DEFAULT nextval('fresh');",
    "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'ok';",
    "ALTER TYPE pair ADD ATTRIBUTE c int;",
    "ALTER TYPE pair RENAME ATTRIBUTE a TO first;",
    "ALTER FUNCTION f(int) STABLE COST 9;",
    "ALTER PROCEDURE p(int) SECURITY INVOKER;",
    "ALTER FUNCTION f(text) SET SCHEMA side;",
    "ALTER SCHEMA side OWNER TO pg_monitor;",
    "CREATE FUNCTION g(n int) RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t WHERE id > n';",
    "CREATE FUNCTION h() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM parents; END;",
    "CREATE PROCEDURE q() LANGUAGE plpgsql AS $$BEGIN UPDATE t SET note = 'q'; END$$;",
    "CREATE TYPE deep AS (p pair, m mood);",
    "CREATE DOMAIN small AS int CHECK (value < 9);",
    "CREATE EXTENSION pg_trgm; CREATE INDEX t_trgm ON t USING gin (note gin_trgm_ops);",
    "CREATE OPERATOR CLASS of_int FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 3 =,
     FUNCTION 1 btint4cmp(int, int); CREATE OPERATOR FAMILY side.kin USING hash;",
    "CREATE OR REPLACE FUNCTION f(a text) RETURNS text LANGUAGE sql AS $f$
     UPDATE t SET note = ''; SELECT name FROM parents FOR UPDATE $f$;",
    "CREATE OPERATOR CLASS kin FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 3 =,
     FUNCTION 1 btint4cmp(int, int);",
    "CREATE OR REPLACE VIEW base AS SELECT id, name FROM plain;",
    "CREATE EVENT TRIGGER watch ON sql_drop EXECUTE FUNCTION see();",
    "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far;
     CREATE USER MAPPING FOR PUBLIC SERVER away; CREATE FOREIGN TABLE there (id int) SERVER away;",
    "COMMENT ON RULE ignored ON parents IS 'new'; ALTER TABLE parents ENABLE ALWAYS RULE ignored;",
    "CREATE AGGREGATE product (int) (SFUNC = int4mul, STYPE = int, INITCOND = '1');",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);",
    "CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false);",
    "CREATE CAST (mood AS int) WITH FUNCTION hashenum (anyenum);",
    "CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);",
    "ANALYZE t;",
    "ANALYZE t (note), parents;",
    "SELECT setval('numbers', 12);",
    "INSERT INTO parents VALUES (1, 'a'), (2, 'b');",
    "INSERT INTO plain SELECT id, note FROM t ON CONFLICT DO NOTHING;",
    "INSERT INTO t (id, parent, amount) VALUES (1, NULL, 3);",
    "WITH gone AS (DELETE FROM t WHERE id > 90 RETURNING parent) INSERT INTO plain SELECT parent, 'x' FROM gone ON CONFLICT (id) DO UPDATE SET name = excluded.name;",
    "UPDATE t SET note = p.name FROM parents p WHERE p.id = t.parent AND t.id = 5;",
    "MERGE INTO plain USING t ON t.parent = plain.id WHEN MATCHED THEN UPDATE SET name = t.note;",
    "GRANT SELECT (id), UPDATE ON t TO pg_monitor; GRANT ALL ON ALL TABLES IN SCHEMA public TO pg_monitor;",
    "REINDEX TABLE t;",
    "CLUSTER t;",
    "CLUSTER t USING t_amount;",
    "CREATE UNIQUE INDEX ON t (parent, note);",
    "CREATE INDEX IF NOT EXISTS t_gist ON t USING gist (room);",
    "ALTER TABLE t ADD COLUMN tags text[] DEFAULT '{}', ADD COLUMN p pair, ADD COLUMN m mood NOT NULL DEFAULT 'ok', ADD COLUMN b brief;",
    "ALTER TABLE t ADD CHECK (id > 0), ADD UNIQUE (note, id);",
    "ALTER TABLE t ADD CONSTRAINT again FOREIGN KEY (parent) REFERENCES parents (id) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT again;",
    "ALTER TABLE parents ADD COLUMN serial bigserial;",
    "ALTER TABLE parents ALTER id ADD GENERATED BY DEFAULT AS IDENTITY;",
    "COMMENT ON EXTENSION plpgsql IS 'said';",
    "SET LOCAL lock_timeout = '1s'; CREATE TABLE late (id int);",
];

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
    let name = zdmig::sql::TableName::new(None, "t");
    let sql = "ALTER TABLE t DROP CONSTRAINT known;
               UPDATE t SET state = 'new' WHERE state = 'old';
               ALTER TABLE t ADD CONSTRAINT known CHECK (state <> 'old');";
    let project = Project::new(&database).migration("1_change", sql).config(OPEN_GATE);
    project.run("apply").done();
    let said = project.run("rollback 1").exits(15);
    said.says(&["drop-public.t.known` cannot be taken back yet", "mend them first"]);
    // Nothing of the rule is left, and the way forward is open too.
    assert_eq!(database.catalog().await.find(&name).expect("it").constraints.len(), 1);
    project.run("apply").done();
    project.run("rollback 1").exits(15);
    database.script("UPDATE t SET state = 'old' WHERE state = 'new'").await;
    project.run("rollback 1").done();
    assert_eq!(dump(&database), before);
}
