CREATE TABLE parent(id serial PRIMARY KEY, note text);
CREATE TABLE child(id int PRIMARY KEY, parent_id int REFERENCES parent(id));
INSERT INTO parent(note) VALUES ('a');
INSERT INTO child VALUES (1, 1);
