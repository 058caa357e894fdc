CREATE TABLE p(y int, z int, PRIMARY KEY (y, z));
CREATE TABLE c(id int PRIMARY KEY, a int, b int);
