CREATE TABLE log (line text);
INSERT INTO log SELECT 'l' || n FROM generate_series(1, 100) AS n;
ANALYZE log;
