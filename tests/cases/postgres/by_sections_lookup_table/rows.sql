SELECT u.id, u.name, c.name FROM users u LEFT JOIN cities c ON c.id = u.city_id ORDER BY 1
