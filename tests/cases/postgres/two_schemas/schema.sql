CREATE SCHEMA app;
CREATE SCHEMA "My App";
CREATE TABLE app.users (id int PRIMARY KEY, name text, age int);
CREATE TABLE "My App".users (id int PRIMARY KEY, name text, age int);
INSERT INTO app.users SELECT g, 'a' || g, g FROM generate_series(1, 20) g;
INSERT INTO "My App".users SELECT g, 'm' || g, g FROM generate_series(1, 20) g;
