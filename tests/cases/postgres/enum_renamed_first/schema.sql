CREATE TYPE status AS ENUM ('new', 'paid', 'sent');
CREATE TABLE orders (
    id int PRIMARY KEY,
    user_id int NOT NULL,
    st status NOT NULL DEFAULT 'new' CONSTRAINT no_sent CHECK (st <> 'sent'::status OR user_id > 0),
    tags status[] DEFAULT '{new}'
);
CREATE INDEX orders_user ON orders (user_id) WHERE st <> 'sent';
CREATE INDEX orders_st ON orders (st, user_id);
CREATE VIEW open_orders AS SELECT id, user_id FROM orders WHERE st = 'new';
INSERT INTO orders SELECT g, g, CASE WHEN g % 2 = 0 THEN 'paid' ELSE 'new' END::status FROM generate_series(1, 40) g;
ANALYZE;
