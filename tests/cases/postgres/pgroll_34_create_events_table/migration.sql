CREATE TABLE events(id serial PRIMARY KEY, name varchar(255) DEFAULT '<placeholder>');
COMMENT ON TABLE events IS 'what happened';
