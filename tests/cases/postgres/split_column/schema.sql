CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL, age int);
INSERT INTO people SELECT i, 'Ann' || i || ' Li' || i, i FROM generate_series(1, 40) i;
INSERT INTO people VALUES (41, 'Cher', 1), (42, '', 2);
