CREATE TYPE old_state AS ENUM ('open', 'done', 'lost');
CREATE TABLE jobs (id int PRIMARY KEY, state old_state NOT NULL DEFAULT 'open', size int DEFAULT 3);
CREATE INDEX jobs_state ON jobs (state, id DESC);
INSERT INTO jobs SELECT g, CASE WHEN g % 2 = 0 THEN 'done' ELSE 'open' END::old_state, g FROM generate_series(1, 60) g;
ANALYZE;
