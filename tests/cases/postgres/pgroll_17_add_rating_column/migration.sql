ALTER TABLE reviews ADD rating text NOT NULL DEFAULT '0';
