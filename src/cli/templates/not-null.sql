-- What rows without a value get; then the rule, checked beside everybody.
UPDATE users SET country = 'unknown' WHERE country IS NULL;
ALTER TABLE users ALTER COLUMN country SET NOT NULL;
