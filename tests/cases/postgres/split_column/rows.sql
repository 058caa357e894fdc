SELECT id, first, last, age FROM people ORDER BY id
