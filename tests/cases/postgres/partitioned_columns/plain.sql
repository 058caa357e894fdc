UPDATE events SET kind = 'none' WHERE kind IS NULL;
ALTER TABLE events ADD COLUMN token uuid DEFAULT gen_random_uuid();
ALTER TABLE events ADD COLUMN kind_upper text;
UPDATE events SET kind_upper = upper(kind);
ALTER TABLE events ALTER COLUMN kind_upper SET NOT NULL;
ALTER TABLE events DROP COLUMN note;
