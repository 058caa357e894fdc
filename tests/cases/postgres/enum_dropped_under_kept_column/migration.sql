-- zdmig:allow unique-copy because "nobody upserts"
-- zdmig:allow cascade because "nothing rests on it"
CREATE TYPE "Limit_new" AS ENUM ('RUN', 'EVENT', 'NEW');
ALTER TABLE limits
    ALTER COLUMN resource TYPE "Limit_new" USING resource::text::"Limit_new",
    ALTER COLUMN many TYPE "Limit_new"[] USING many::text::"Limit_new"[];
DROP TYPE "Limit" CASCADE;
ALTER TYPE "Limit_new" RENAME TO "Limit";
