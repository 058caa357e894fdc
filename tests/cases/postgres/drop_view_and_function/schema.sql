CREATE TABLE t(id int PRIMARY KEY, a text);
CREATE VIEW v WITH (security_invoker=true) AS SELECT id FROM t;
GRANT SELECT ON v TO pg_monitor;
CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE mood AS ENUM ('sad', 'ok');
