CREATE TYPE state AS ENUM ('new', 'old', 'odd');
CREATE TABLE t(id int PRIMARY KEY, s state NOT NULL DEFAULT 'new');
