INSERT INTO kinds VALUES (1, 'a'), (2, 'b') ON CONFLICT DO NOTHING;
INSERT INTO notes (text) VALUES ('once'), ('once'), (E'it''s \\ odd'); -- no key
INSERT INTO things (kind) VALUES (1), (2);
INSERT INTO kinds VALUES (1, 'c') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
