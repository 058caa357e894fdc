-- zdmig:reverse users.found = initcap(tg_name)
ALTER TABLE users ADD COLUMN tg_name text;
UPDATE users SET tg_name = lower(found);
ALTER TABLE users DROP COLUMN found;
