-- The people who use the café.
CREATE TABLE users (
    id bigint PRIMARY KEY,
    username text NOT NULL
);
