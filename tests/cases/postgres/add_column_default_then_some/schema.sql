CREATE TABLE t(id int PRIMARY KEY, done timestamptz);
INSERT INTO t VALUES (1, now()), (2, NULL);
