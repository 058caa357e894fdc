SELECT id, role::text, tags::text FROM "User" ORDER BY 1
