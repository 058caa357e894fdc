CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id), note TEXT);
CREATE INDEX orders_user ON orders (user_id);
ALTER TABLE orders ADD COLUMN total INTEGER NOT NULL DEFAULT 0;
