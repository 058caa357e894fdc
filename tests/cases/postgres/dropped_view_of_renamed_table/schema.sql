CREATE TABLE orders (id int PRIMARY KEY, total int);
CREATE TABLE users (id int PRIMARY KEY, name text);
INSERT INTO orders VALUES (1, 10), (2, 30);
CREATE VIEW small AS SELECT id FROM orders WHERE total < 20;
CREATE MATERIALIZED VIEW sums AS SELECT sum(total) AS sum FROM orders;
CREATE UNIQUE INDEX sums_by ON sums (sum);
CREATE STATISTICS pairs ON id, total FROM orders;
CREATE VIEW named AS SELECT id, name FROM users;
