ALTER TABLE contacts ADD COLUMN phone text;
INSERT INTO contacts AS c (user_id, phone) SELECT id, phone FROM users WHERE phone IS NOT NULL
ON CONFLICT (user_id) DO UPDATE SET phone = EXCLUDED.phone;
ALTER TABLE users DROP COLUMN phone;
