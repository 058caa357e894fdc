-- zdmig:allow unique-copy because "nobody upserts by it"
ALTER TABLE item ALTER COLUMN order_id TYPE int8;
ALTER TABLE "Order" ALTER COLUMN "Id" TYPE int8;
