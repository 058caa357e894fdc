CREATE TABLE customers(id int PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, credit_card text);
CREATE TABLE bills(id int PRIMARY KEY, date timetz NOT NULL, quantity int NOT NULL);
CREATE TABLE sellers(name varchar(255), zip int, description varchar(255), PRIMARY KEY(name, zip));
CREATE TABLE products(id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, price decimal(10,2) NOT NULL);
INSERT INTO products(name, price) VALUES ('a', 1), ('b', 2);
ALTER TABLE products ADD description varchar(255), ADD stock int NOT NULL DEFAULT 100, ADD category varchar(255);
UPDATE products SET description = upper(name);
UPDATE products SET category = name || '-category';
ALTER TABLE products ALTER category SET NOT NULL;
