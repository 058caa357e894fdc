-- zdmig:reverse accounts.doc = jsonb_strip_nulls(jsonb_build_object('plan', plan, 'seats', seats))
ALTER TABLE accounts ADD COLUMN plan text;
ALTER TABLE accounts ADD COLUMN seats int;
UPDATE accounts SET plan = doc->>'plan';
UPDATE accounts SET seats = (doc->>'seats')::int;
ALTER TABLE accounts DROP COLUMN doc;
