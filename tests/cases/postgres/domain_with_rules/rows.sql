SELECT id::text, lines::text, total::text FROM orders ORDER BY id
