CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT COLLATE NOCASE);
CREATE UNIQUE INDEX users_u ON users (username COLLATE BINARY DESC) WHERE username <> '';
INSERT INTO users VALUES (1, 'Ann'), (2, NULL), (3, 'bob');
