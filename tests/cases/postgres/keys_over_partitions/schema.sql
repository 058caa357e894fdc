CREATE TABLE events (
    id bigint,
    at date NOT NULL,
    "Kind" text
) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE "events 2026" PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT PARTITION BY HASH (at);
CREATE TABLE events_rest_all PARTITION OF events_rest FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO events SELECT g, date '2025-06-01' + g, 'k' || g % 3 FROM generate_series(1, 700) g;
ANALYZE;
