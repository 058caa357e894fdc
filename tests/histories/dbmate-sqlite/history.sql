CREATE TABLE IF NOT EXISTS "schema_migrations" (version varchar(128) primary key);
INSERT INTO schema_migrations VALUES('20260105090000');
INSERT INTO schema_migrations VALUES('20260106101500');
INSERT INTO schema_migrations VALUES('20260107113000');
