SELECT amount, reference::text, at::text FROM payments ORDER BY reference
