CREATE TYPE fruit_size AS ENUM('small', 'medium', 'large');
