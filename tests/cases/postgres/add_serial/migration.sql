-- The name that the server would choose is taken.
ALTER TABLE orders ADD COLUMN number serial;
CREATE UNIQUE INDEX orders_by_number ON orders (number);
