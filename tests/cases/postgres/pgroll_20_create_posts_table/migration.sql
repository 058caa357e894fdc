CREATE TABLE posts(id serial PRIMARY KEY, title varchar(255) NOT NULL, user_id int);
