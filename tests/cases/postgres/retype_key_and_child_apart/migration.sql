-- zdmig:reverse orders.user_id = user_id::int
ALTER TABLE users ALTER COLUMN id TYPE bigint;
ALTER SEQUENCE users_id_seq AS bigint;
ALTER TABLE orders ALTER COLUMN user_id TYPE bigint USING user_id + 0;
