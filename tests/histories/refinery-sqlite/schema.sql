CREATE TABLE users (
    id integer PRIMARY KEY,
    username text NOT NULL
, active boolean NOT NULL DEFAULT true);
CREATE INDEX users_username_idx ON users (username);
