CREATE TYPE mood AS ENUM ('calm', 'glad');
CREATE TABLE people (id bigint PRIMARY KEY, feels mood);
INSERT INTO people SELECT g, CASE WHEN g % 2 = 0 THEN 'calm' ELSE 'glad' END::mood FROM generate_series(1, 200) g;
ANALYZE;
