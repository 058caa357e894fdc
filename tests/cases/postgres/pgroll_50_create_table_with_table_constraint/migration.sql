CREATE TABLE telephone_providers(id serial, name varchar(255) NOT NULL, tax_id varchar(255) NOT NULL, headquarters varchar(255) NOT NULL,
    CONSTRAINT provider_pk PRIMARY KEY(id), CONSTRAINT unique_tax_id UNIQUE(tax_id), CONSTRAINT name_must_be_present CHECK(length(name) > 0));
