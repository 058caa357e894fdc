-- zdmig:allow table-rewrite because "in the maintenance window"
CLUSTER orders USING orders_lines;
-- zdmig:allow table-rewrite because "in the maintenance window"
REINDEX INDEX orders_lines;
-- zdmig:allow table-rewrite because "in the maintenance window"
REINDEX TABLE orders;
-- zdmig:allow whole-statement because "the table is small"
WITH big AS (SELECT id FROM orders WHERE lines > 100)
UPDATE orders SET note = 'many' FROM big WHERE big.id = orders.id;
