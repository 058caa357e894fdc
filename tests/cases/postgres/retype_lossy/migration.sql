-- zdmig:allow unique-copy because "nobody upserts by it"
-- zdmig:reverse payments.at = at::date::text
ALTER TABLE payments ALTER COLUMN reference TYPE bigint USING reference::bigint;
ALTER TABLE payments
    ALTER COLUMN at TYPE timestamptz USING (at || ' 12:00')::timestamptz;
