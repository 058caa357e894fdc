CREATE SCHEMA "My shop";
CREATE TABLE "My shop".z (a int, b int, CONSTRAINT "Custom PK" PRIMARY KEY (b, a));
CREATE TABLE c (
    id int PRIMARY KEY,
    x int,
    y int,
    CONSTRAINT fk FOREIGN KEY (y, x) REFERENCES "My shop".z (a, b) MATCH SIMPLE
        ON UPDATE CASCADE ON DELETE SET NULL (x) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX c_pair ON c USING btree (y DESC NULLS LAST, (x + 1)) WHERE y IS NOT NULL;
INSERT INTO "My shop".z SELECT g, g * 2 FROM generate_series(1, 30) g;
INSERT INTO c SELECT g, g * 2, g FROM generate_series(1, 30) g;
ANALYZE;
