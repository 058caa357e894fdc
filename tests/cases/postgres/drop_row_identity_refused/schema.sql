CREATE TABLE parts (id int PRIMARY KEY, code text NOT NULL);
CREATE UNIQUE INDEX parts_code ON parts (code);
ALTER TABLE parts REPLICA IDENTITY USING INDEX parts_code;
INSERT INTO parts VALUES (1, 'a');
