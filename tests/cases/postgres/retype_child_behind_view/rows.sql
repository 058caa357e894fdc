SELECT o.id::text, o.user_id::text, u.name FROM orders o JOIN users u ON u.id = o.user_id ORDER BY o.id
