-- zdmig:allow alias-view because "nobody copies into it"
ALTER TABLE customers RENAME TO clients;
