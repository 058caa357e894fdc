CREATE TABLE kinds(id int PRIMARY KEY, name text);
CREATE TABLE notes(text text, at timestamptz);
CREATE TABLE things(id serial PRIMARY KEY, kind int REFERENCES kinds);
INSERT INTO kinds VALUES (1, 'was here');
