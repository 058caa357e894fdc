SELECT id::text, at::text, kind, kind_upper FROM events ORDER BY id
