-- What other linters warn of: their rule, what is there before, a file that breaks the rule.
-- tests/linters.rs puts each before `zdmig check` and the planner; docs/other-linters.md holds
-- what came out.
--
-- There before all of them:
-- p (id bigint PRIMARY KEY), t (id bigint PRIMARY KEY, a integer UNIQUE CHECK (a > 0), b text,
--   c text NOT NULL DEFAULT 'x', d varchar(10), p_id bigint)

-- squawk: adding-field-with-default
ALTER TABLE t ADD COLUMN e uuid DEFAULT gen_random_uuid();

-- squawk: adding-foreign-key-constraint
ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (p_id) REFERENCES p (id);

-- squawk: adding-not-nullable-field
ALTER TABLE t ALTER COLUMN b SET NOT NULL;

-- squawk: adding-required-field
ALTER TABLE t ADD COLUMN e text NOT NULL;

-- squawk: adding-serial-primary-key-field
-- before: CREATE TABLE k (a text);
ALTER TABLE k ADD COLUMN id serial PRIMARY KEY;

-- squawk: ban-add-column
ALTER TABLE t ADD COLUMN e text;

-- squawk: ban-add-composite-attribute
-- before: CREATE TYPE m AS (x int);
ALTER TYPE m ADD ATTRIBUTE y int;

-- squawk: ban-add-enum-value
-- before: CREATE TYPE m AS ENUM ('a');
ALTER TYPE m ADD VALUE 'b';

-- squawk: ban-alter-database-options
ALTER DATABASE x SET timezone = 'UTC';

-- squawk: ban-alter-domain-with-add-constraint
-- before: CREATE DOMAIN pos AS integer; CREATE TABLE k (id bigint PRIMARY KEY, v pos);
ALTER DOMAIN pos ADD CONSTRAINT c CHECK (VALUE > 0);

-- squawk: ban-alter-extension
ALTER EXTENSION pg_trgm UPDATE;

-- squawk: ban-alter-function-options
-- before: CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION f() SECURITY DEFINER;

-- squawk: ban-alter-generated-expression
-- before: CREATE TABLE k (id bigint PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a*2) STORED);
ALTER TABLE k ALTER COLUMN b SET EXPRESSION AS (a*3);

-- squawk: ban-alter-identity
-- before: CREATE TABLE k (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
ALTER TABLE k ALTER COLUMN id DROP IDENTITY;

-- squawk: ban-alter-policy-condition
-- before: CREATE POLICY y ON t USING (true);
ALTER POLICY y ON t USING (a = 1);

-- squawk: ban-alter-policy-roles
-- before: CREATE POLICY y ON t USING (true);
ALTER POLICY y ON t TO app;

-- squawk: ban-alter-role-options
ALTER ROLE app NOLOGIN;

-- squawk: ban-alter-row-level-security
ALTER TABLE t ENABLE ROW LEVEL SECURITY;

-- squawk: ban-alter-sequence-values
-- before: CREATE SEQUENCE s;
ALTER SEQUENCE s RESTART WITH 1;

-- squawk: ban-alter-system-options
ALTER SYSTEM SET work_mem = '4MB';

-- squawk: ban-alter-view-options
-- before: CREATE VIEW v AS SELECT id FROM t;
ALTER VIEW v SET (security_invoker = true);

-- squawk: ban-char-field
ALTER TABLE t ADD COLUMN e char(3);

-- squawk: ban-concurrent-index-creation-in-transaction
BEGIN; CREATE INDEX CONCURRENTLY i ON t (b); COMMIT;

-- squawk: ban-create-domain-with-constraint
CREATE DOMAIN pos AS integer CHECK (VALUE > 0);

-- squawk: ban-create-policy
CREATE POLICY y ON t USING (a = 1);

-- squawk: ban-detach-inheritance
-- before: CREATE TABLE k () INHERITS (t);
ALTER TABLE k NO INHERIT t;

-- squawk: ban-disable-trigger
ALTER TABLE t DISABLE TRIGGER ALL;

-- squawk: ban-drop-column
ALTER TABLE t DROP COLUMN b;

-- squawk: ban-drop-constraint
ALTER TABLE t DROP CONSTRAINT t_a_check;

-- squawk: ban-drop-database
DROP DATABASE x;

-- squawk: ban-drop-default
ALTER TABLE t ALTER COLUMN c DROP DEFAULT;

-- squawk: ban-drop-domain
-- before: CREATE DOMAIN pos AS integer;
DROP DOMAIN pos;

-- squawk: ban-drop-extension
DROP EXTENSION pg_trgm;

-- squawk: ban-drop-function
-- before: CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
DROP FUNCTION f();

-- squawk: ban-drop-generated-expression
-- before: CREATE TABLE k (id bigint PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a*2) STORED);
ALTER TABLE k ALTER COLUMN b DROP EXPRESSION;

-- squawk: ban-drop-index
-- before: CREATE INDEX i ON t (b);
DROP INDEX i;

-- squawk: ban-drop-not-null
ALTER TABLE t ALTER COLUMN c DROP NOT NULL;

-- squawk: ban-drop-policy
-- before: CREATE POLICY y ON t USING (true);
DROP POLICY y ON t;

-- squawk: ban-drop-schema
-- before: CREATE SCHEMA s;
DROP SCHEMA s;

-- squawk: ban-drop-sequence
-- before: CREATE SEQUENCE s;
DROP SEQUENCE s;

-- squawk: ban-drop-table
DROP TABLE t;

-- squawk: ban-drop-trigger
-- before: CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();
DROP TRIGGER g ON t;

-- squawk: ban-drop-type
-- before: CREATE TYPE m AS ENUM ('a');
DROP TYPE m;

-- squawk: ban-drop-view
-- before: CREATE VIEW v AS SELECT id FROM t;
DROP VIEW v;

-- squawk: ban-duplicate-column-assignments
UPDATE t SET b = 'x', b = 'y';

-- squawk: ban-new-write-restriction
CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING;

-- squawk: ban-replace-view-function
-- before: CREATE VIEW v AS SELECT id FROM t;
CREATE OR REPLACE VIEW v AS SELECT id, b FROM t;

-- squawk: ban-replica-identity
ALTER TABLE t REPLICA IDENTITY FULL;

-- squawk: ban-revoke
REVOKE INSERT ON t FROM app;

-- squawk: ban-set-default
ALTER TABLE t ALTER COLUMN b SET DEFAULT 'y';

-- squawk: ban-set-schema
-- before: CREATE SCHEMA s;
ALTER TABLE t SET SCHEMA s;

-- squawk: ban-truncate-cascade
TRUNCATE t CASCADE;

-- squawk: ban-uncommitted-transaction
BEGIN; ALTER TABLE t ADD COLUMN e text;

-- squawk: changing-column-type
ALTER TABLE t ALTER COLUMN a TYPE bigint;

-- squawk: constraint-missing-not-valid
ALTER TABLE t ADD CONSTRAINT q CHECK (a < 9);

-- squawk: disallowed-unique-constraint
ALTER TABLE t ADD CONSTRAINT q UNIQUE (b);

-- squawk: identifier-too-long
CREATE INDEX a_very_long_name_of_an_index_that_nobody_will_ever_be_able_to_remember_at_all ON t (b);

-- squawk: prefer-bigint-over-int
CREATE TABLE n (id bigint PRIMARY KEY, x integer);

-- squawk: prefer-bigint-over-smallint
CREATE TABLE n (id bigint PRIMARY KEY, x smallint);

-- squawk: prefer-identity
CREATE TABLE n (id bigserial PRIMARY KEY);

-- squawk: prefer-repack
VACUUM FULL t;

-- squawk: prefer-text-field
CREATE TABLE n (id bigint PRIMARY KEY, x varchar(9));

-- squawk: prefer-timestamp-tz
CREATE TABLE n (id bigint PRIMARY KEY, x timestamp);

-- squawk: renaming-column
ALTER TABLE t RENAME COLUMN b TO e;

-- squawk: renaming-object
-- before: CREATE TYPE m AS ENUM ('a');
ALTER TYPE m RENAME TO n;

-- squawk: renaming-table
ALTER TABLE t RENAME TO n;

-- squawk: require-concurrent-index-creation
CREATE INDEX i ON t (b);

-- squawk: require-concurrent-index-deletion
-- before: CREATE INDEX i ON t (b);
DROP INDEX i;

-- squawk: require-concurrent-partition-detach
-- before: CREATE TABLE k (id bigint) PARTITION BY RANGE (id); CREATE TABLE k1 PARTITION OF k FOR VALUES FROM (0) TO (9);
ALTER TABLE k DETACH PARTITION k1;

-- squawk: require-concurrent-reindex
REINDEX TABLE t;

-- squawk: require-enum-value-ordering
-- before: CREATE TYPE m AS ENUM ('a');
ALTER TYPE m ADD VALUE 'b';

-- squawk: transaction-nesting
BEGIN; BEGIN; ALTER TABLE t ADD COLUMN e text; COMMIT;

-- eugene: E1, validating a constraint
ALTER TABLE t ADD CONSTRAINT q CHECK (a < 9);

-- eugene: E2, SET NOT NULL
ALTER TABLE t ALTER COLUMN b SET NOT NULL;

-- eugene: E3, json
ALTER TABLE t ADD COLUMN e json;

-- eugene: E4, more statements under a strong lock
ALTER TABLE t ADD COLUMN e text; UPDATE t SET e = 'x';

-- eugene: E5, change of type
ALTER TABLE t ALTER COLUMN a TYPE bigint;

-- eugene: E6, index without CONCURRENTLY
CREATE INDEX i ON t (b);

-- eugene: E7, unique constraint
ALTER TABLE t ADD CONSTRAINT q UNIQUE (b);

-- eugene: E8, exclusion
ALTER TABLE t ADD CONSTRAINT x EXCLUDE USING btree (a WITH =);

-- eugene: E10, rewrite
-- before: CREATE TABLE k (id bigint PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a*2) STORED);
ALTER TABLE k ALTER COLUMN b SET EXPRESSION AS (a*3);

-- eugene: E11, serial, identity, generated
ALTER TABLE t ADD COLUMN e int GENERATED ALWAYS AS (a * 2) STORED;

-- eugene: E15, foreign key without index
CREATE TABLE n (id bigint PRIMARY KEY, t_id bigint REFERENCES t (id));

-- eugene: W12, several ALTER TABLE
ALTER TABLE t ADD COLUMN e text; ALTER TABLE t ADD COLUMN f text;

-- eugene: W13, enum
CREATE TYPE mood AS ENUM ('calm');

-- eugene: W14, primary key on nullable columns
-- before: CREATE TABLE k (a bigint); CREATE UNIQUE INDEX ki ON k (a);
ALTER TABLE k ADD PRIMARY KEY USING INDEX ki;

-- strong_migrations: add_check_constraint
ALTER TABLE t ADD CONSTRAINT q CHECK (a < 9);

-- strong_migrations: add_column (default)
ALTER TABLE t ADD COLUMN e uuid DEFAULT gen_random_uuid();

-- strong_migrations: add_column_auto_incrementing
ALTER TABLE t ADD COLUMN e bigserial;

-- strong_migrations: add_column_generated_stored
ALTER TABLE t ADD COLUMN e int GENERATED ALWAYS AS (a * 2) STORED;

-- strong_migrations: add_column_json
ALTER TABLE t ADD COLUMN e json;

-- strong_migrations: add_exclusion_constraint
ALTER TABLE t ADD CONSTRAINT x EXCLUDE USING btree (a WITH =);

-- strong_migrations: add_foreign_key
ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (p_id) REFERENCES p (id);

-- strong_migrations: add_index
CREATE INDEX i ON t (b);

-- strong_migrations: add_index_columns
CREATE INDEX i ON t (a, b, c, d);

-- strong_migrations: add_reference
ALTER TABLE t ADD COLUMN e bigint REFERENCES p (id);

-- strong_migrations: add_unique_constraint
ALTER TABLE t ADD CONSTRAINT q UNIQUE (b);

-- strong_migrations: change_column
ALTER TABLE t ALTER COLUMN a TYPE bigint;

-- strong_migrations: change_column_constraint
-- before: CREATE TABLE k (id bigint PRIMARY KEY, v varchar(5) CHECK (v <> ''));
ALTER TABLE k ALTER COLUMN v TYPE varchar(9);

-- strong_migrations: change_column_default
ALTER TABLE t ALTER COLUMN b SET DEFAULT 'y';

-- strong_migrations: change_column_null
ALTER TABLE t ALTER COLUMN b SET NOT NULL;

-- strong_migrations: create_table (force)
DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint PRIMARY KEY);

-- strong_migrations: drop_table
DROP TABLE t;

-- strong_migrations: execute
DO $$ BEGIN EXECUTE 'ALTER TABLE t DROP COLUMN b'; END $$;

-- strong_migrations: remove_column
ALTER TABLE t DROP COLUMN b;

-- strong_migrations: remove_columns
ALTER TABLE t DROP COLUMN b, DROP COLUMN c;

-- strong_migrations: remove_index
-- before: CREATE INDEX i ON t (b);
DROP INDEX i;

-- strong_migrations: rename_column
ALTER TABLE t RENAME COLUMN b TO e;

-- strong_migrations: rename_enum_value
-- before: CREATE TYPE m AS ENUM ('a');
ALTER TYPE m RENAME VALUE 'a' TO 'b';

-- strong_migrations: rename_schema
-- before: CREATE SCHEMA s;
ALTER SCHEMA s RENAME TO r;

-- strong_migrations: rename_table
ALTER TABLE t RENAME TO n;

-- strong_migrations: validate_check_constraint
ALTER TABLE t ADD CONSTRAINT q CHECK (a < 9) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT q;

-- strong_migrations: validate_foreign_key
ALTER TABLE t ADD CONSTRAINT q FOREIGN KEY (p_id) REFERENCES p (id) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT q;

-- strong_migrations: execute (CREATE TRIGGER)
-- before: CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();
