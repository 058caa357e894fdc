ALTER TABLE users ADD COLUMN email VARCHAR(40);
UPDATE users SET email = lower(username);
ALTER TABLE users DROP COLUMN username;
