CREATE SCHEMA shop;
CREATE TABLE shop.countries (code text PRIMARY KEY);
INSERT INTO shop.countries VALUES ('de'), ('fr');
CREATE TABLE shop.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    country text COLLATE "C" NOT NULL DEFAULT lower('DE') CHECK (country <> ''),
    age int,
    CONSTRAINT users_country_fk FOREIGN KEY (country) REFERENCES shop.countries (code) ON DELETE CASCADE,
    CONSTRAINT users_country_age UNIQUE (country, age)
);
COMMENT ON COLUMN shop.users.country IS 'where it''s from';
CREATE INDEX users_lower ON shop.users (lower(country) DESC, age) WHERE country <> 'xx';
CREATE INDEX users_inc ON shop.users (age) INCLUDE (country);
INSERT INTO shop.users (country, age) VALUES ('de', 1), ('fr', 2), (DEFAULT, 3);
ALTER TABLE shop.users ALTER COLUMN country SET STORAGE EXTERNAL, ALTER COLUMN country SET COMPRESSION pglz,
    ALTER COLUMN country SET STATISTICS 500, ALTER COLUMN country SET (n_distinct = 40);
COMMENT ON INDEX shop.users_lower IS 'for the search''s sake';
COMMENT ON CONSTRAINT users_country_fk ON shop.users IS 'no made up ones';
COMMENT ON CONSTRAINT users_country_age ON shop.users IS 'one of each';
CLUSTER shop.users USING users_inc;
