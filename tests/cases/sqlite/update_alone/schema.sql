CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(40) NOT NULL DEFAULT 'anon', age INTEGER, bio TEXT);
INSERT INTO users (id, username, age) VALUES (1, 'Ann', 3), (2, 'Bob', NULL), (3, 'Cy', 5);
