CREATE TABLE refinery_schema_history(
             version int4 PRIMARY KEY,
             name VARCHAR(255),
             applied_on VARCHAR(255),
             checksum VARCHAR(255));
INSERT INTO refinery_schema_history VALUES(1,'create_users','2026-11-29T07:44:36.804661374Z','4073882940545111330');
INSERT INTO refinery_schema_history VALUES(2,'add_users_active','2026-11-29T07:44:36.804693608Z','11386822107557425552');
INSERT INTO refinery_schema_history VALUES(3,'index_users_username','2026-11-29T07:44:36.844108697Z','1439423508830727135');
