CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, phone text);
CREATE TABLE contacts (user_id bigint PRIMARY KEY REFERENCES users (id), phone text NOT NULL);
INSERT INTO users VALUES (1, 'Ann', '1'), (2, 'Bo', NULL), (3, 'Cy', '3');
INSERT INTO contacts VALUES (3, '33');
