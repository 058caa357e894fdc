ALTER TABLE posts DROP CONSTRAINT title_length;
