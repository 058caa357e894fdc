SELECT id::text, lines::text, note FROM orders ORDER BY id
