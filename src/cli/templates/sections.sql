-- SQL that is run as written, in the phase that you name. Nothing is derived from it.
-- zdmig:expand
ALTER TABLE users ADD COLUMN score integer;
-- zdmig:backfill table=users key=id
UPDATE users SET score = 0 WHERE score IS NULL;
-- zdmig:contract uses=users.points
ALTER TABLE users DROP COLUMN points;
-- zdmig:end
