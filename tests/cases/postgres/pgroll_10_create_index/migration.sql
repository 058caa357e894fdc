CREATE INDEX idx_fruits_name ON fruits(name);
