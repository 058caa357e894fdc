-- no-transaction
CREATE INDEX CONCURRENTLY users_username_idx ON users (username);
