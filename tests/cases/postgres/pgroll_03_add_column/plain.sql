ALTER TABLE products ADD description varchar(255), ADD stock int NOT NULL DEFAULT 100, ADD category varchar(255);
UPDATE products SET description = upper(name);
UPDATE products SET category = name || '-category';
ALTER TABLE products ALTER category SET NOT NULL;
