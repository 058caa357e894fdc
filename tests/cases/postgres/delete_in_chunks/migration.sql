DELETE FROM visits WHERE person_id NOT IN (SELECT id FROM people);
ALTER TABLE visits ADD FOREIGN KEY (person_id) REFERENCES people;
DELETE FROM ONLY visits WHERE NOT seen;
