CREATE TABLE rooms (id int PRIMARY KEY, during tsrange);
