CREATE TABLE products(id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, price decimal(10,2) NOT NULL);
