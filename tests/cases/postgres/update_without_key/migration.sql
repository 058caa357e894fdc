-- zdmig:allow whole-statement because "a small table"
UPDATE t SET b = a WHERE b IS NULL;
