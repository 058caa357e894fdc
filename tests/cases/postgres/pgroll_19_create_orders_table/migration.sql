CREATE TABLE orders(id serial PRIMARY KEY, user_id int NOT NULL CONSTRAINT fk_users_id REFERENCES users(id), quantity int NOT NULL);
