-- zdmig:allow alias-view because "nobody copies into it"
ALTER TABLE p RENAME COLUMN id TO p_id;
