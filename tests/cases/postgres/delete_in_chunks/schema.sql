CREATE TABLE people (id int PRIMARY KEY, name text);
CREATE TABLE visits (person_id int, day date, seen bool, PRIMARY KEY (person_id, day));
INSERT INTO people SELECT g, 'p' || g FROM generate_series(1, 20) g;
INSERT INTO visits SELECT g % 30, date '2024-01-01' + g, g % 3 = 0 FROM generate_series(1, 300) g;
ANALYZE;
