SELECT 'contact', user_id, phone FROM contacts UNION ALL SELECT 'name', id, name FROM "Old names" ORDER BY 1, 2
