ALTER TABLE app.users RENAME COLUMN name TO full_name;
ALTER TABLE "My App".users ALTER COLUMN age TYPE bigint;
CREATE INDEX users_name ON "My App".users (name);
ALTER TABLE app.users ADD CONSTRAINT adult CHECK (age > 0);
