CREATE TABLE events (id bigint NOT NULL, at date NOT NULL, kind text, note text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (kind);
CREATE TABLE "events 2026 a" PARTITION OF events_2026 FOR VALUES IN ('a');
CREATE TABLE events_2026_rest PARTITION OF events_2026 DEFAULT;
INSERT INTO events SELECT g, '2025-06-01'::date + g * 5, chr(97 + g % 3), 'n' FROM generate_series(1, 100) g;
