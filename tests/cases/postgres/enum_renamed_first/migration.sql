ALTER TYPE status RENAME TO status_old;
CREATE TYPE status AS ENUM ('new', 'paid', 'sent', 'lost');
DROP INDEX orders_user;
DROP VIEW open_orders;
ALTER TABLE orders DROP CONSTRAINT no_sent;
ALTER TABLE orders ALTER COLUMN st DROP DEFAULT, ALTER COLUMN tags DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN st TYPE status USING st::text::status,
    ALTER COLUMN tags TYPE status[] USING tags::text::status[];
ALTER TABLE orders ALTER COLUMN st SET DEFAULT 'new', ALTER COLUMN tags SET DEFAULT '{new}';
CREATE INDEX orders_user ON orders (user_id) WHERE st <> 'sent';
ALTER TABLE orders ADD CONSTRAINT no_sent CHECK (st <> 'sent'::status OR user_id > 0);
CREATE VIEW open_orders AS SELECT id, user_id FROM orders WHERE st = 'new';
DROP TYPE status_old;
