SELECT id::text, "two words"::text, flag::text FROM "Users" ORDER BY id
