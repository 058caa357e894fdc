SELECT person_id::text, day::text FROM visits ORDER BY 1, 2
