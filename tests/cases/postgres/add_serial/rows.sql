SELECT count(DISTINCT number)::text, min(number)::text, max(number)::text, nextval('orders_number_seq1')::text FROM orders
