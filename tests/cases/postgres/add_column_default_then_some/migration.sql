ALTER TABLE t ADD COLUMN state text NOT NULL DEFAULT 'pending';
UPDATE t SET state = 'final' WHERE state = 'pending' AND done IS NOT NULL;
