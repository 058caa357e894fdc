ALTER TABLE tickets DROP CONSTRAINT check_zip_name;
