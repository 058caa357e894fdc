-- zdmig:reverse users.username = upper(email)
ALTER TABLE users ADD COLUMN email VARCHAR(40) NOT NULL DEFAULT '-';
UPDATE users SET email = lower(username);
ALTER TABLE users DROP COLUMN username;
