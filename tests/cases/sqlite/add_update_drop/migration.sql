-- zdmig:reverse users.username = upper(email)
ALTER TABLE users ADD COLUMN email VARCHAR(40);
UPDATE users SET email = lower(username) WHERE email IS NULL;
ALTER TABLE users DROP COLUMN username;
