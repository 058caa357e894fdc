SELECT id::text, full_name FROM app.users ORDER BY id
