-- zdmig:allow unique-copy because "nobody upserts by it"
-- zdmig:reverse Users.flag = (flag * 2)::integer
ALTER TABLE "Users" ALTER COLUMN "two words" TYPE bigint;
ALTER TABLE "Users" ALTER COLUMN flag DROP DEFAULT;
ALTER TABLE "Users" ALTER COLUMN flag TYPE numeric(10,2) USING flag / 2.0;
ALTER TABLE "Users" ALTER COLUMN flag SET DEFAULT 0.5;
ALTER TABLE "Users" ALTER COLUMN id TYPE bigint;
