CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, city text);
INSERT INTO users SELECT g, 'user ' || g, CASE WHEN g % 5 > 0 THEN 'city ' || g % 7 END FROM generate_series(1, 200) g;
ANALYZE;
