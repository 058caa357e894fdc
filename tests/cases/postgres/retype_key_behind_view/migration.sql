DROP VIEW open_orders;
ALTER TABLE users ALTER COLUMN id TYPE bigint;
ALTER SEQUENCE users_id_seq AS bigint;
ALTER TABLE orders ALTER COLUMN user_id TYPE bigint USING user_id::bigint;
CREATE VIEW open_orders AS SELECT id, user_id FROM orders WHERE total > 0;
