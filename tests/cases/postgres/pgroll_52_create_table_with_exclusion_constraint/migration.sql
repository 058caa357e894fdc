CREATE TABLE library(id serial CONSTRAINT rooms_pk PRIMARY KEY, returned timestamp NOT NULL, title text NOT NULL, summary text NOT NULL,
    EXCLUDE USING btree(title WITH =) WHERE (title IS NOT NULL));
