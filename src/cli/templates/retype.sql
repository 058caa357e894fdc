-- A new column is kept in step and filled beside the old one, and takes its name at contract.
ALTER TABLE orders ALTER COLUMN id TYPE bigint;
