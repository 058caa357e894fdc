ALTER TABLE employees RENAME COLUMN role TO job_title;
