ALTER TABLE events ATTACH PARTITION "events 2026" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
-- zdmig:allow long-lock because "the default partition is small"
CREATE TABLE events_2027 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO (MAXVALUE);
ALTER TABLE regions ATTACH PARTITION regions_eu FOR VALUES IN ('fr', 'it');
ALTER TABLE pairs ATTACH PARTITION pairs_1 FOR VALUES FROM (1, 1) TO (2, 2);
