CREATE TABLE tasks(id serial NOT NULL, title varchar(255) NOT NULL, description varchar(255) NOT NULL, deadline timetz NOT NULL);
ALTER TABLE tasks ADD CONSTRAINT tasks_pkey PRIMARY KEY(id);
