-- zdmig:reverse people.name = concat_ws(' ', first, last)
ALTER TABLE people ADD COLUMN first text NOT NULL DEFAULT '', ADD COLUMN last text;
UPDATE people SET
  first = split_part(name, ' ', 1),
  last = nullif(substr(name, length(split_part(name, ' ', 1)) + 2), '');
ALTER TABLE people DROP COLUMN name;
