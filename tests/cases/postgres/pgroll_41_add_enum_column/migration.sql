ALTER TABLE fruits ADD size fruit_size NOT NULL DEFAULT 'small';
