SELECT id::text, state FROM t ORDER BY id
