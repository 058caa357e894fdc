CREATE TABLE orders (
    id serial PRIMARY KEY,
    parent_id int REFERENCES orders (id) ON DELETE SET NULL,
    note text NOT NULL DEFAULT ''
);
CREATE TABLE items (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id int NOT NULL REFERENCES orders ON DELETE CASCADE,
    amount int CHECK (amount > 0)
);
CREATE INDEX items_order_idx ON items (order_id) INCLUDE (amount) WHERE amount > 1;
CREATE STATISTICS items_stat (dependencies) ON order_id, amount FROM items;
INSERT INTO orders (parent_id, note) SELECT NULL, 'n' || g FROM generate_series(1, 40) g;
UPDATE orders SET parent_id = id - 1 WHERE id > 1;
INSERT INTO items (order_id, amount) SELECT 1 + g % 40, 1 + g % 7 FROM generate_series(1, 200) g;
ANALYZE;
