ALTER TABLE users ADD COLUMN label varchar(60);
UPDATE users SET label = username || '-label';
ALTER TABLE users ALTER label SET NOT NULL;
