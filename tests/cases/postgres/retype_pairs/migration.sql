-- zdmig:allow unique-copy because "nobody upserts by it"
ALTER TABLE "My shop".z ALTER COLUMN a TYPE bigint, ALTER COLUMN b TYPE bigint;
ALTER TABLE c ALTER COLUMN x TYPE bigint, ALTER COLUMN y TYPE bigint;
