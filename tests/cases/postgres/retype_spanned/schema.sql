CREATE TABLE "Users" (
    id serial PRIMARY KEY,
    "two words" smallint NOT NULL,
    flag integer DEFAULT 1,
    note text,
    CONSTRAINT apart CHECK ("two words" <> id + 1000000)
);
CREATE UNIQUE INDEX "ix 1" ON "Users" ("two words" DESC, id) INCLUDE (flag);
CREATE INDEX ix_flag ON "Users" (flag) INCLUDE (id) WHERE "two words" > 0;
INSERT INTO "Users" ("two words", flag) SELECT g, g % 3 FROM generate_series(1, 30) g;
ANALYZE;
