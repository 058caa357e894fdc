UPDATE events SET name = 'unknown event ' || id WHERE name IS NULL;
ALTER TABLE events ALTER name TYPE text, ALTER name SET DEFAULT 'unknown event', ALTER name SET NOT NULL,
    ADD CONSTRAINT events_event_name_unique UNIQUE(name), ADD CONSTRAINT event_name_length CHECK(length(name) > 3);
COMMENT ON COLUMN events.name IS 'its name';
