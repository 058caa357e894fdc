-- +goose Up
-- +goose StatementBegin
DO $$
BEGIN
    ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true;
END;
$$;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE users DROP COLUMN active;
