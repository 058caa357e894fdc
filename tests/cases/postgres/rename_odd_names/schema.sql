CREATE TABLE users (id bigint PRIMARY KEY, found text NOT NULL, "new" text, "tg_op" text);
INSERT INTO users (id, found) VALUES (1, 'Ann'), (2, 'Bob');
