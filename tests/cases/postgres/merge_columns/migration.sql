-- zdmig:allow loses-index because "at is searched instead"
-- zdmig:reverse places."Lat" = CASE WHEN at ~ '^[0-9.]+,' THEN split_part(at, ',', 1)::numeric ELSE 0 END
-- zdmig:reverse places.lng = nullif(split_part(at, ',', 2), '')::numeric
ALTER TABLE places ADD COLUMN at text;
UPDATE places SET at = "Lat" || ',' || coalesce(lng::text, '');
ALTER TABLE places DROP COLUMN "Lat";
ALTER TABLE places DROP COLUMN lng;
ALTER TABLE places ALTER COLUMN at SET NOT NULL;
CREATE INDEX places_at_text ON places (at);
