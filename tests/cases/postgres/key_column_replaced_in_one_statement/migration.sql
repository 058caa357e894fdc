-- zdmig:allow required-until-purge because "the table is empty"
-- zdmig:allow loses-index because "the new key is in the same file"
ALTER TABLE a DROP CONSTRAINT a_pkey, ADD COLUMN code text NOT NULL, DROP COLUMN id, ADD COLUMN id uuid NOT NULL, ADD CONSTRAINT a_pkey PRIMARY KEY (id);
