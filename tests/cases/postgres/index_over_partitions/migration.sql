CREATE INDEX events_kind ON events (kind, lower(note) DESC) INCLUDE (id) WHERE note <> '';
CREATE UNIQUE INDEX ON events (id, at, kind);
CREATE INDEX events_at_only ON ONLY events (at);
