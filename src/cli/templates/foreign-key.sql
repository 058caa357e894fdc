-- Added for new rows at once; the rows that are there are checked by the backfill, beside writers.
ALTER TABLE orders ADD CONSTRAINT orders_user_fkey FOREIGN KEY (user_id) REFERENCES users (id);
