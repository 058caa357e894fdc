ALTER TABLE people ADD description varchar(255) NOT NULL DEFAULT 'temporary-description';
COMMENT ON COLUMN people.description IS 'who they are';
