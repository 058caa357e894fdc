-- zdmig:allow table-rewrite because "a small table"
ALTER TABLE reviews ALTER rating DROP DEFAULT, ALTER rating TYPE int USING rating::int, ALTER rating SET DEFAULT 0;
