CREATE TABLE "Users" (id int PRIMARY KEY, "full name" text);
INSERT INTO "Users" VALUES (1, 'Ann');
