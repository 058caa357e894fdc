CREATE INDEX idx_fruits_custom_opclass ON fruits(id int8_ops);
