ALTER TABLE users ADD description varchar(255);
UPDATE users SET description = upper(name);
