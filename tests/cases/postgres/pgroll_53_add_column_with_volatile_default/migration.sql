ALTER TABLE library ADD value int NOT NULL DEFAULT (random() * 1000)::int;
