CREATE TYPE new_state AS ENUM ('open', 'done');
ALTER TABLE jobs ALTER COLUMN state DROP DEFAULT;
ALTER TABLE jobs ALTER COLUMN state TYPE new_state USING state::text::new_state;
ALTER TABLE jobs ALTER COLUMN state SET DEFAULT 'done', ALTER COLUMN size TYPE numeric;
