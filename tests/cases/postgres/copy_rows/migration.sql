-- What is there already is newer.
INSERT INTO contacts (user_id, phone)
SELECT u.id, btrim(u.phone) FROM users AS u WHERE u.phone IS NOT NULL -- or they have none
ON CONFLICT (user_id) DO NOTHING;
CREATE TABLE "Old names" (id bigint, name text);
INSERT INTO "Old names" SELECT id, name FROM users;
