CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN amount AS positive;
CREATE TABLE orders (id int PRIMARY KEY, lines positive, note text);
INSERT INTO orders SELECT i, i, 'n' FROM generate_series(1, 200) i;
ANALYZE orders;
