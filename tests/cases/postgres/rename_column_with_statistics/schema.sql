CREATE TABLE t (id int PRIMARY KEY, "select" integer NOT NULL, value_2 bigint NOT NULL);
CREATE STATISTICS pairs (dependencies) ON id, value_2 FROM t;
COMMENT ON STATISTICS pairs IS 'they go together';
ALTER STATISTICS pairs SET STATISTICS 50;
CREATE STATISTICS "of both" ON ("select" + value_2) FROM t;
