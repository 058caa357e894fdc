-- zdmig:allow alias-view because "nobody copies into it"
ALTER TABLE orders SET SCHEMA archive;
