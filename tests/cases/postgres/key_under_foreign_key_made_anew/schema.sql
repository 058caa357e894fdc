CREATE TABLE parents (name text PRIMARY KEY, id int NOT NULL, code text NOT NULL UNIQUE);
CREATE TABLE kids (id int PRIMARY KEY, parent text CONSTRAINT kids_parent REFERENCES parents (name), code text REFERENCES parents (code));
COMMENT ON CONSTRAINT kids_parent ON kids IS 'by name';
INSERT INTO parents VALUES ('a', 1, 'x'), ('b', 2, 'y');
INSERT INTO kids VALUES (1, 'a', 'x'), (2, 'b', NULL);
