-- Write the schema you want, as plain SQL. `zdmig plan` shows how it gets there, e.g. for
--
--     ALTER TABLE users RENAME COLUMN username TO email;
--
-- Where the SQL does not say enough, a comment line that begins with `-- zdmig:` does:
--     reverse users.username = lower(email)       how the old column follows from the new one
--     allow HAZARD because "the reason"           a hazard that is accepted
--     expand, backfill table=… key=…, contract uses=table.column
--                                                 the SQL below it is run as written in that phase

