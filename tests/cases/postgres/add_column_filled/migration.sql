ALTER TABLE users ADD COLUMN label varchar(60);
UPDATE users SET label = upper(username);
