DROP VIEW small;
DROP MATERIALIZED VIEW sums;
DROP STATISTICS pairs;
DROP VIEW named;
-- zdmig:allow alias-view because "nothing truncates it"
ALTER TABLE orders RENAME TO purchases;
ALTER TABLE users RENAME COLUMN id TO number;
