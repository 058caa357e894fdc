SELECT id::text, "Created At"::text, ended::text FROM events ORDER BY id
