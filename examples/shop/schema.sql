-- The shop's table before the change, with :users rows, and what its role may do.
CREATE TABLE users (
    id bigint PRIMARY KEY,
    username varchar(255) NOT NULL,
    bio text NOT NULL DEFAULT repeat('b', 100)
);
INSERT INTO users (id, username) SELECT n, 'user ' || n FROM generate_series(1, :users) n;
CREATE INDEX users_username ON users (username);
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO :"role";
-- What the server would do by itself a minute later, amid the drill.
VACUUM (FREEZE, ANALYZE) users;
CHECKPOINT;
