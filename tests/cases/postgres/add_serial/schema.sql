CREATE TABLE orders (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), note text);
INSERT INTO orders (note) SELECT 'n' || n FROM generate_series(1, 500) AS n;
CREATE SEQUENCE orders_number_seq;
ANALYZE orders;
