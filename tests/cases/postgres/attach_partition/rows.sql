SELECT tableoid::regclass::text, id, "At"::text, kind FROM events ORDER BY id
