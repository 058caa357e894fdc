-- A column that the server computes (GENERATED … STORED) makes it write the table anew. A plain
-- one that a trigger computes does not; it stays one, because it cannot be made the other later.
ALTER TABLE orders ADD COLUMN gross bigint;

-- zdmig:expand
CREATE FUNCTION orders_gross() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    NEW.gross := NEW.net * 119 / 100;
    RETURN NEW;
END $$;
-- zdmig:expand
CREATE TRIGGER orders_gross BEFORE INSERT OR UPDATE ON orders
FOR EACH ROW EXECUTE FUNCTION orders_gross();

-- zdmig:backfill table=orders
UPDATE orders SET gross = net * 119 / 100 WHERE gross IS NULL;
