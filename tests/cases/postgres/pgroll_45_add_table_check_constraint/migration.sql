UPDATE tickets SET sellers_zip = 123 WHERE sellers_zip <= 0;
ALTER TABLE tickets ADD CONSTRAINT check_zip_name CHECK(sellers_name = 'alice' OR sellers_zip > 0);
