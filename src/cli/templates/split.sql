-- One column becomes two. The UPDATE fills what is there, and what old code writes meanwhile.
-- How old code goes on to read what new code writes:
-- zdmig:reverse people.name = first || ' ' || last
ALTER TABLE people ADD COLUMN first text, ADD COLUMN last text;
UPDATE people SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2);
ALTER TABLE people DROP COLUMN name;
