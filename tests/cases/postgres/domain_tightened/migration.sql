ALTER DOMAIN positive ADD CONSTRAINT above CHECK (VALUE > 0) NOT VALID;
-- zdmig:allow long-lock because "the table is small"
ALTER DOMAIN positive VALIDATE CONSTRAINT above;
