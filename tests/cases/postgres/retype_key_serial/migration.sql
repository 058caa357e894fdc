ALTER TABLE orders ALTER COLUMN id TYPE bigint, ALTER COLUMN parent_id TYPE bigint;
ALTER SEQUENCE orders_id_seq AS bigint;
ALTER TABLE items ALTER COLUMN order_id SET DATA TYPE bigint;
