-- zdmig:allow late-writes because "the triggers below keep both in step until contract"
ALTER TABLE contacts ADD COLUMN phone text;

-- What old code writes is copied over. A user without a phone gets no row, so that new code can
-- insert it itself.
-- zdmig:expand
CREATE FUNCTION phone_to_contacts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.phone IS NULL THEN
        UPDATE contacts SET phone = NULL WHERE user_id = NEW.id AND phone IS NOT NULL;
    ELSE
        INSERT INTO contacts AS c (user_id, phone) VALUES (NEW.id, NEW.phone)
        ON CONFLICT (user_id) DO UPDATE SET phone = EXCLUDED.phone
        WHERE c.phone IS DISTINCT FROM EXCLUDED.phone;
    END IF;
    RETURN NULL;
END $$;

-- And back: both end because nothing is distinct any more.
-- zdmig:expand
CREATE FUNCTION phone_to_users() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE users u SET phone = NEW.phone
    WHERE u.id = NEW.user_id AND u.phone IS DISTINCT FROM NEW.phone;
    RETURN NULL;
END $$;

-- zdmig:expand
CREATE TRIGGER phone_to_contacts AFTER INSERT OR UPDATE OF phone ON users
FOR EACH ROW EXECUTE FUNCTION phone_to_contacts();
-- zdmig:expand
CREATE TRIGGER phone_to_users AFTER INSERT OR UPDATE OF phone ON contacts
FOR EACH ROW EXECUTE FUNCTION phone_to_users();

-- Touches each row once, in chunks; the trigger does the rest.
-- zdmig:backfill table=users
UPDATE users SET phone = phone
WHERE phone IS NOT NULL
  AND NOT EXISTS (SELECT FROM contacts c WHERE c.user_id = users.id AND c.phone = users.phone);

-- zdmig:contract uses=users.phone
DROP TRIGGER phone_to_contacts ON users;
-- zdmig:contract uses=users.phone
DROP TRIGGER phone_to_users ON contacts;
-- zdmig:end
DROP FUNCTION phone_to_contacts();
DROP FUNCTION phone_to_users();
ALTER TABLE users DROP COLUMN phone;
