CREATE TYPE "Limit" AS ENUM ('RUN', 'EVENT', 'OLD');
CREATE TABLE limits (id int PRIMARY KEY, resource "Limit" NOT NULL, many "Limit"[]);
CREATE UNIQUE INDEX limits_resource ON limits (resource);
INSERT INTO limits VALUES (1, 'RUN', '{RUN,EVENT}'), (2, 'EVENT', NULL);
