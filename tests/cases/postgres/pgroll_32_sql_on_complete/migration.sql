ALTER TABLE people ADD birth_date timestamp;
