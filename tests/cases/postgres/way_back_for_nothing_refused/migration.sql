-- zdmig:reverse "Users"."full names" = upper("Name")
ALTER TABLE "Users" ADD COLUMN "Name" text;
UPDATE "Users" SET "Name" = lower("full name");
ALTER TABLE "Users" DROP COLUMN "full name";
