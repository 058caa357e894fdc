ALTER TABLE people RENAME CONSTRAINT name_length TO name_length_check;
