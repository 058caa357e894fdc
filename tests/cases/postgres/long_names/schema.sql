CREATE TABLE "A table whose name is exactly as long as a name can be, really!!"(id int PRIMARY KEY, "another name that is as long as it can be, or it is cut off, ok" text);
