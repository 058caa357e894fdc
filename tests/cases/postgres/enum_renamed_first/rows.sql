SELECT id::text, st::text, tags::text FROM orders ORDER BY id
