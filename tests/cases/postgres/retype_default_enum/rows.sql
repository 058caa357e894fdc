SELECT id::text, state::text, size::text FROM jobs ORDER BY id
