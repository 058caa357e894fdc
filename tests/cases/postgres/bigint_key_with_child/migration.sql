-- zdmig:allow table-rewrite because "a maintenance window"
ALTER TABLE child ALTER parent_id TYPE bigint;
ALTER TABLE parent ALTER id TYPE bigint;
ALTER SEQUENCE parent_id_seq AS bigint;
