CREATE TABLE kinds(id int PRIMARY KEY, name text);
