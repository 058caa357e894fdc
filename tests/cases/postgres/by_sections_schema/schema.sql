CREATE SCHEMA shop;
CREATE TABLE shop.orders (id bigint PRIMARY KEY, net bigint NOT NULL);
CREATE TABLE shop.items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES shop.orders (id));
INSERT INTO shop.orders SELECT g, g FROM generate_series(1, 50) g;
ANALYZE;
