CREATE TABLE people(id int PRIMARY KEY, name varchar(255) NOT NULL CONSTRAINT name_length CHECK(length(name) > 3));
