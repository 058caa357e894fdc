ALTER TABLE users ADD COLUMN label varchar(60) NOT NULL;
UPDATE users SET label = username || '-label';
