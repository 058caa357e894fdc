DROP INDEX idx_fruits_name;
