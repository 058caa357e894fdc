CREATE TABLE accounts (id int PRIMARY KEY, doc jsonb);
INSERT INTO accounts SELECT i, jsonb_build_object('plan', CASE i % 3 WHEN 0 THEN 'free' ELSE 'paid' END, 'seats', i) FROM generate_series(1, 30) i;
INSERT INTO accounts VALUES (31, '{}'), (32, NULL), (33, '{"seats": 4}');
