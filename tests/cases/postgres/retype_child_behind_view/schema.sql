CREATE TABLE users (id serial PRIMARY KEY, name text);
CREATE TABLE orders (id serial PRIMARY KEY, user_id int NOT NULL REFERENCES users ON DELETE CASCADE, total int);
CREATE INDEX orders_user ON orders (user_id, total DESC) WHERE total > 0;
INSERT INTO users (name) SELECT 'u' || g FROM generate_series(1, 30) g;
INSERT INTO orders (user_id, total) SELECT g, g FROM generate_series(1, 30) g;
CREATE VIEW open_orders AS SELECT id, user_id FROM orders WHERE total > 0;
ANALYZE;
