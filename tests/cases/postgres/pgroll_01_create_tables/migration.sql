CREATE TABLE customers(id int PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, credit_card text);
CREATE TABLE bills(id int PRIMARY KEY, date timetz NOT NULL, quantity int NOT NULL);
CREATE TABLE sellers(name varchar(255), zip int, description varchar(255), PRIMARY KEY(name, zip));
