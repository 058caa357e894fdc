-- migrate:up
-- The people who use the café.
CREATE TABLE users (
    id bigint PRIMARY KEY,
    username text NOT NULL
);

-- migrate:down
DROP TABLE users;
