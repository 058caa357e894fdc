CREATE TABLE items(id serial PRIMARY KEY, name varchar(255) NOT NULL DEFAULT 'unnamed', price decimal(10,2) NOT NULL DEFAULT 0.00, created_at timestamptz NOT NULL DEFAULT now());
