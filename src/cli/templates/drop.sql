-- Contract takes it away once no version that can still run uses it; until the purge that
-- follows after the soak, `zdmig restore` gives it back at once.
ALTER TABLE users DROP COLUMN nickname;
