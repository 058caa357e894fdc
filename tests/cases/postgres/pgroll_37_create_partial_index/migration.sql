CREATE INDEX idx_fruits_id_gt_10 ON fruits(id) WHERE id > 10;
