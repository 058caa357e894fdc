ALTER TABLE tickets ADD CONSTRAINT unique_zip_name UNIQUE(sellers_name, sellers_zip);
