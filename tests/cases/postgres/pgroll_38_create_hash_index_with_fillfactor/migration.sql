CREATE INDEX idx_fruits_name_hash ON fruits USING hash(name) WITH (fillfactor=70);
