CREATE TABLE orders (id int PRIMARY KEY, lines int, note text);
CREATE INDEX orders_lines ON orders (lines);
INSERT INTO orders SELECT i, i, 'n' FROM generate_series(1, 200) i;
ANALYZE orders;
