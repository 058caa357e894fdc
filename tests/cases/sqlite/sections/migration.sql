-- zdmig:expand
ALTER TABLE users ADD COLUMN email VARCHAR(40);
-- zdmig:backfill table=users key=id
UPDATE users SET bio = 'about ' || username WHERE bio IS NULL;
-- zdmig:contract uses=users.age
ALTER TABLE users DROP COLUMN age;
