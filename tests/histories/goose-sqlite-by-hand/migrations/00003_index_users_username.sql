-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX users_username_idx ON users (username);

-- +goose Down
DROP INDEX users_username_idx;
