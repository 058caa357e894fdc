SELECT id::text, name FROM kinds UNION ALL SELECT 'note', text FROM notes UNION ALL SELECT 'thing', kind::text FROM things ORDER BY 1, 2
