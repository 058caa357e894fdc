-- Old code goes on with the old name, new code with the new one; both see every write.
-- Contract takes the old name away once no version that can still run uses it.
ALTER TABLE users RENAME COLUMN username TO email;
