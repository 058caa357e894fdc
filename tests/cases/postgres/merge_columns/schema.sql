CREATE TABLE places (id int PRIMARY KEY, "Lat" numeric(8,5) NOT NULL, lng numeric(8,5) DEFAULT 0, note text);
CREATE INDEX places_at ON places ("Lat", lng);
INSERT INTO places SELECT i, i / 7.0, CASE WHEN i % 5 > 0 THEN i / 9.0 END, 'n' FROM generate_series(1, 30) i;
