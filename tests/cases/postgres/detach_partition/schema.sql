CREATE TABLE kinds (id int PRIMARY KEY);
CREATE TABLE events (
    id bigint NOT NULL,
    at date NOT NULL,
    kind int REFERENCES kinds (id),
    note text,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX events_note_idx ON events (note);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO kinds VALUES (1);
INSERT INTO events SELECT g, date '2025-06-01' + g, 1, 'n' FROM generate_series(1, 300) g;
ANALYZE;
