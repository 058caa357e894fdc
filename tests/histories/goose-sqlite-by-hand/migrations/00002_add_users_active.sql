-- +goose Up
-- +goose StatementBegin
ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE users DROP COLUMN active;
