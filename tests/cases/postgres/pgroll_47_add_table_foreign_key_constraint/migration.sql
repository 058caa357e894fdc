ALTER TABLE tickets ADD CONSTRAINT fk_sellers FOREIGN KEY(sellers_name, sellers_zip) REFERENCES sellers(name, zip);
