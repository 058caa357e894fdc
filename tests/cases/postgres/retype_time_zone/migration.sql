ALTER TABLE events
    ALTER COLUMN "Created At" TYPE timestamptz(3) USING "Created At" AT TIME ZONE 'Europe/Berlin',
    ALTER COLUMN ended TYPE timestamp USING ended AT TIME ZONE 'UTC';
