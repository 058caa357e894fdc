CREATE TABLE orders (id bigint PRIMARY KEY, net bigint NOT NULL);
INSERT INTO orders SELECT g, g * 100 FROM generate_series(1, 300) g;
ANALYZE;
