CREATE TABLE users (id bigint PRIMARY KEY, username varchar(40) NOT NULL, age int, bio text);
INSERT INTO users (id, username, age) VALUES (1, 'Ann', 3), (2, 'Bob', NULL), (3, 'Cy', 5);
ALTER TABLE users ADD CONSTRAINT users_name UNIQUE (username);
