SELECT id, tg_name FROM users ORDER BY id
