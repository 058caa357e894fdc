SELECT order_id::text, line::text FROM item ORDER BY 1, 2
