CREATE SCHEMA archive;
CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    "Total" numeric NOT NULL CHECK ("Total" >= 0),
    parent bigint REFERENCES orders (id)
);
CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders (id));
CREATE INDEX orders_total_idx ON orders ("Total" DESC);
INSERT INTO orders ("Total") SELECT g FROM generate_series(1, 50) g;
ANALYZE;
