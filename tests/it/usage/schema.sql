CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, legacy_name text, full_name text, created_at timestamptz);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total int, legacy_name text);
CREATE SCHEMA tenant2;
CREATE TABLE tenant2.users (id bigint PRIMARY KEY, email text, legacy_name text, full_name text, created_at timestamptz);
CREATE VIEW v_users AS SELECT id, email, legacy_name AS nm FROM users;
CREATE FUNCTION f_sql(bigint) RETURNS text LANGUAGE sql STABLE AS 'SELECT legacy_name FROM users WHERE id = $1';
CREATE FUNCTION twice(a bigint) RETURNS text LANGUAGE sql STABLE AS 'SELECT ''x''::text';
CREATE FUNCTION twice(a text) RETURNS text LANGUAGE sql STABLE AS 'SELECT legacy_name FROM users WHERE email = $1';
