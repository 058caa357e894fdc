CREATE TYPE state_new AS ENUM ('new', 'old');
ALTER TABLE t ALTER s DROP DEFAULT;
ALTER TABLE t ALTER s TYPE state_new USING (s::text::state_new);
ALTER TYPE state RENAME TO state_old;
ALTER TYPE state_new RENAME TO state;
DROP TYPE state_old;
ALTER TABLE t ALTER s SET DEFAULT 'new';
