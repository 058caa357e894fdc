CREATE UNIQUE INDEX idx_fruits_unique_name ON fruits(name);
