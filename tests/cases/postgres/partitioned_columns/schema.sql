CREATE TABLE events (
    id bigint NOT NULL,
    at date NOT NULL,
    kind text,
    note text NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT PARTITION BY HASH (id);
CREATE TABLE events_rest_all PARTITION OF events_rest FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO events SELECT g, date '2025-06-01' + g, CASE WHEN g % 3 > 0 THEN 'k' || g % 3 END, 'n'
FROM generate_series(1, 700) g;
ANALYZE;
