SELECT id::text, resource::text, many::text FROM limits ORDER BY id
