CREATE TABLE goods(id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE);
