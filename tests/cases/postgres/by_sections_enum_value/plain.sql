-- `ALTER TYPE … RENAME VALUE` breaks at one instant whoever says the old value, and before it
-- whoever says the new one. Beside each other both can be said. Old code must cope with reading
-- the new value before this is run.
ALTER TYPE mood ADD VALUE 'happy' AFTER 'glad';

-- zdmig:expand
CREATE FUNCTION glad_is_happy() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    NEW.feels := 'happy';
    RETURN NEW;
END $$;

-- From the fill on no row gets the old value.
-- zdmig:expand
CREATE TRIGGER glad_is_happy BEFORE INSERT OR UPDATE ON people
FOR EACH ROW WHEN (NEW.feels = 'glad') EXECUTE FUNCTION glad_is_happy();

