CREATE TABLE "Tickets" (code text PRIMARY KEY, note text);
INSERT INTO "Tickets" SELECT 'c' || n, 'n' FROM generate_series(1, 500) AS n;
ANALYZE "Tickets";
