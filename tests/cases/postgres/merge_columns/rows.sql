SELECT id, at, note FROM places ORDER BY id
