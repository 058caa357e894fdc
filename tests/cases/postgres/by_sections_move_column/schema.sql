CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, phone text);
CREATE TABLE contacts (user_id bigint PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE, fax text);
INSERT INTO users SELECT g, 'user ' || g, CASE WHEN g % 5 > 0 THEN '555-' || g END FROM generate_series(1, 200) g;
INSERT INTO contacts SELECT g, 'fax ' || g FROM generate_series(1, 200, 4) g;
ANALYZE;
