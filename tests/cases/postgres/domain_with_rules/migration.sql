-- A domain with a rule makes the server write the table anew, default or not.
-- zdmig:allow table-rewrite because "the table is small"
ALTER TABLE orders ADD COLUMN total amount;
