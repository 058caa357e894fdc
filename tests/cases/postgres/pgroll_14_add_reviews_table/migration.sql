CREATE TABLE reviews(id serial PRIMARY KEY, username text NOT NULL, product text NOT NULL, review text);
