-- zdmig:allow destroys drops-constraint because "the children are kept elsewhere"
DROP TABLE kids;
ALTER TABLE parents DROP CONSTRAINT parents_pkey;
ALTER TABLE parents ADD PRIMARY KEY (id);
ALTER TABLE parents ADD UNIQUE (name);
ALTER TABLE parents DROP CONSTRAINT parents_code_key;
CREATE UNIQUE INDEX parents_code ON parents (code);
