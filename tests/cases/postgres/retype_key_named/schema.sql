CREATE TABLE orders (id int CONSTRAINT "The Key" PRIMARY KEY, note text);
CREATE TABLE items (id int PRIMARY KEY, order_id int CONSTRAINT "To Orders" REFERENCES orders ON UPDATE CASCADE DEFERRABLE);
INSERT INTO orders SELECT g, 'n' FROM generate_series(1, 20) g;
INSERT INTO items SELECT g, g FROM generate_series(1, 20) g;
