CREATE TABLE payments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    amount text NOT NULL DEFAULT '0' CHECK (amount <> '-1'),
    reference varchar(40) UNIQUE,
    at text
);
CREATE UNIQUE INDEX payments_at ON payments (at, amount) WHERE at IS NOT NULL;
COMMENT ON COLUMN payments.amount IS 'what was paid';
INSERT INTO payments (amount, reference, at) SELECT g::text, g::text, CASE WHEN g % 3 > 0 THEN '2024-01-01'::date + g END::text FROM generate_series(1, 50) g;
ANALYZE;
