CREATE DOMAIN positive AS int;
CREATE TABLE orders (id int PRIMARY KEY, lines positive, note text);
CREATE TABLE parts (id int PRIMARY KEY, lines positive);
CREATE TABLE others (id int PRIMARY KEY);
INSERT INTO orders SELECT i, i, 'n' FROM generate_series(1, 200) i;
ANALYZE orders;
