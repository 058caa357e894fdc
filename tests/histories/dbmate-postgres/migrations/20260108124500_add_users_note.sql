-- migrate:up
ALTER TABLE users ADD COLUMN note text;

-- migrate:down
ALTER TABLE users DROP COLUMN note;
