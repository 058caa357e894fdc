CREATE TABLE tickets(ticket_id serial PRIMARY KEY, sellers_name varchar(255) NOT NULL, sellers_zip int NOT NULL, ticket_type varchar(255) NOT NULL DEFAULT 'paper');
