-- An example for each hazard: what is there before, and a file in which it is found.
-- tests/it/hazards.rs asks zdmig for it, runs the file as written under measurement, and puts both
-- on the hazard's page in docs/hazards.

-- hazard: opaque
-- before: CREATE TABLE t (id bigint PRIMARY KEY, a text);
DO $$ BEGIN EXECUTE 'ALTER TABLE t DROP COLUMN a'; END $$;

-- hazard: unique-copy
-- before: CREATE TABLE users (id bigint PRIMARY KEY, username text UNIQUE);
ALTER TABLE users RENAME COLUMN username TO email;

-- hazard: unique-tightens
-- before: CREATE TABLE users (id bigint PRIMARY KEY, email text);
CREATE UNIQUE INDEX users_email_key ON users (email);

-- hazard: index-blocks-writes
-- product: sqlite
-- before: CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
CREATE INDEX users_email_idx ON users (email);

-- hazard: drop-rewrites
-- product: sqlite
-- before: CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
ALTER TABLE users DROP COLUMN email;

-- hazard: star-readers
-- before: CREATE TABLE users (id bigint PRIMARY KEY);
ALTER TABLE users ADD COLUMN email text;

-- hazard: readers-see-null
-- before: CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);
ALTER TABLE users DROP COLUMN email;

-- hazard: one-way-sync
-- before: CREATE TABLE users (id bigint PRIMARY KEY, age integer);
ALTER TABLE users ALTER COLUMN age TYPE text USING CASE WHEN age < 18 THEN 'minor' ELSE 'adult' END;

-- hazard: loses-index
-- before: CREATE TABLE users (id bigint PRIMARY KEY, a text, b text); CREATE INDEX users_a_b_idx ON users (a, b);
ALTER TABLE users DROP COLUMN b;

-- hazard: null-default
-- before: CREATE TABLE users (id bigint PRIMARY KEY, seen timestamptz DEFAULT now());
ALTER TABLE users RENAME COLUMN seen TO seen_at;

-- hazard: table-rewrite
-- before: CREATE TABLE orders (id bigint PRIMARY KEY, net bigint);
ALTER TABLE orders ADD COLUMN gross bigint GENERATED ALWAYS AS (net * 119 / 100) STORED;

-- hazard: deletes-rows
-- before: CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz);
DELETE FROM events WHERE at < '2020-01-01';

-- hazard: late-writes
-- before: CREATE TABLE users (id bigint PRIMARY KEY, phone text); CREATE TABLE contacts (user_id bigint PRIMARY KEY, phone text);
-- rows: INSERT INTO users VALUES (1, '555');
INSERT INTO contacts (user_id, phone) SELECT id, phone FROM users;
ALTER TABLE users DROP COLUMN phone;

-- hazard: row-security
-- before: CREATE TABLE notes (id bigint PRIMARY KEY, owner text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;

-- hazard: type-under-code
-- before: CREATE TABLE users (id bigint PRIMARY KEY, age integer);
ALTER TABLE users ALTER COLUMN age TYPE bigint;

-- hazard: narrow-sequence
-- before: CREATE TABLE users (id serial PRIMARY KEY, name text);
-- rows: INSERT INTO users (name) VALUES ('ann');
ALTER TABLE users ALTER COLUMN id TYPE bigint;

-- hazard: long-lock
-- before: CREATE TABLE rooms (id bigint PRIMARY KEY, during tsrange);
-- rows: INSERT INTO rooms VALUES (1, '[2026-11-01, 2026-11-02)');
ALTER TABLE rooms ADD CONSTRAINT rooms_during_excl EXCLUDE USING gist (during WITH &&);

-- hazard: whole-statement
-- before: CREATE TABLE users (id bigint PRIMARY KEY, orders bigint); CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint);
UPDATE users SET orders = o.n FROM (SELECT user_id, count(*) AS n FROM orders GROUP BY 1) o WHERE o.user_id = users.id;

-- hazard: not-repeatable
-- before: CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint);
UPDATE accounts SET balance = balance * 100;

-- hazard: destroys
-- before: CREATE TABLE events (id bigint PRIMARY KEY);
TRUNCATE events;

-- hazard: cascade
-- before: CREATE TABLE users (id bigint PRIMARY KEY); CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users (id)); CREATE VIEW people AS SELECT id FROM users;
DROP VIEW people CASCADE;

-- hazard: drops-constraint
-- before: CREATE TABLE users (id bigint PRIMARY KEY); CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES users (id));
ALTER TABLE orders DROP CONSTRAINT orders_user_fk;

-- hazard: tightens
-- before: CREATE TABLE users (id bigint PRIMARY KEY); CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint);
ALTER TABLE orders ADD CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES users (id);

-- hazard: alias-view
-- before: CREATE TABLE users (id bigint PRIMARY KEY);
ALTER TABLE users RENAME TO people;

-- hazard: comes-late
-- before: CREATE TABLE users (id bigint PRIMARY KEY, name text); CREATE VIEW people AS SELECT id, name FROM users;
DROP VIEW people;
CREATE VIEW people AS SELECT name, id FROM users;

-- hazard: required-until-purge
-- before: CREATE TABLE members (team bigint, person bigint, PRIMARY KEY (team, person));
ALTER TABLE members DROP COLUMN person;

-- hazard: body-names-column
-- before: CREATE TABLE users (id bigint PRIMARY KEY, name text, upper_name text); CREATE FUNCTION up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.upper_name := upper(NEW.name); RETURN NEW; END'; CREATE TRIGGER up BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION up();
ALTER TABLE users DROP COLUMN upper_name;

-- hazard: fires-triggers
-- before: CREATE TABLE users (id bigint PRIMARY KEY, name text); CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER audit AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION audit();
UPDATE users SET name = 'nobody' WHERE name IS NULL;

-- hazard: stops-triggers
-- before: CREATE TABLE users (id bigint PRIMARY KEY);
ALTER TABLE users DISABLE TRIGGER ALL;

-- hazard: acts-on-writes
-- before: CREATE TABLE users (id bigint PRIMARY KEY); CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER audit AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION audit();

-- hazard: changes-under-code
-- before: CREATE FUNCTION tax() RETURNS bigint LANGUAGE sql AS 'SELECT 19';
CREATE OR REPLACE FUNCTION tax() RETURNS bigint LANGUAGE sql AS 'SELECT 16';

-- hazard: sequence-moves
-- before: CREATE SEQUENCE invoices;
ALTER SEQUENCE invoices RESTART WITH 1;

-- hazard: name-gap
-- before: CREATE TABLE users (id bigint PRIMARY KEY); CREATE VIEW people AS SELECT id FROM users;
ALTER VIEW people RENAME TO persons;

-- hazard: renames-value
-- before: CREATE TYPE mood AS ENUM ('calm', 'glad');
ALTER TYPE mood RENAME VALUE 'glad' TO 'happy';

-- hazard: detaches-rows
-- before: CREATE TABLE events (at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
-- rows: INSERT INTO events VALUES ('2025-06-01');
ALTER TABLE events DETACH PARTITION events_2025;

-- hazard: unindexed-foreign-key
-- before: CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users (id));

-- hazard: wide-index
-- before: CREATE TABLE orders (id bigint PRIMARY KEY, a bigint, b bigint, c bigint, d bigint);
CREATE INDEX orders_all_idx ON orders (a, b, c, d);

-- hazard: narrow-integer
CREATE TABLE orders (id integer PRIMARY KEY);

-- hazard: serial-column
CREATE TABLE orders (id bigserial PRIMARY KEY);

-- hazard: json-column
-- before: CREATE TABLE events (id bigint PRIMARY KEY);
ALTER TABLE events ADD COLUMN payload json;

-- hazard: time-without-zone
-- before: CREATE TABLE events (id bigint PRIMARY KEY);
ALTER TABLE events ADD COLUMN at timestamp;

-- hazard: padded-text
-- before: CREATE TABLE countries (id bigint PRIMARY KEY);
ALTER TABLE countries ADD COLUMN code char(3);

-- hazard: text-limit
-- before: CREATE TABLE users (id bigint PRIMARY KEY);
ALTER TABLE users ADD COLUMN name varchar(40);

-- hazard: enum-created
CREATE TYPE mood AS ENUM ('calm', 'glad');

-- hazard: enum-order
-- before: CREATE TYPE mood AS ENUM ('calm', 'glad');
ALTER TYPE mood ADD VALUE 'sad';

-- hazard: long-name
-- before: CREATE TABLE users (id bigint PRIMARY KEY, email text);
CREATE INDEX users_email_for_the_search_by_the_first_letters_of_the_address_idx ON users (email);

-- hazard: empty-file
-- nothing yet
