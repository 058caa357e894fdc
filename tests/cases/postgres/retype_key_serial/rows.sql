SELECT o.id::text, o.parent_id::text, o.note, i.id::text, i.amount::text FROM orders o JOIN items i ON i.order_id = o.id ORDER BY i.id
