CREATE TABLE employees(id serial PRIMARY KEY, role varchar(255) NOT NULL);
COMMENT ON TABLE employees IS 'people';
COMMENT ON COLUMN employees.role IS 'what they do';
