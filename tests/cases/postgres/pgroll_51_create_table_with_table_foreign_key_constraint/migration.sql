CREATE TABLE phonebook(id serial, provider_id serial, name varchar(255) NOT NULL, city varchar(255) NOT NULL, phone varchar(255) NOT NULL,
    PRIMARY KEY(id), FOREIGN KEY(provider_id) REFERENCES telephone_providers(id) ON DELETE CASCADE ON UPDATE CASCADE,
    UNIQUE(phone) INCLUDE(name), CHECK(length(name) > 0));
