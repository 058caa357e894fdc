-- zdmig:allow unique-copy because "nobody upserts countries"
ALTER TABLE shop.users RENAME COLUMN country TO nation;
