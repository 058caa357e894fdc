CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO goose_db_version VALUES(1,0,1,'2026-11-29 07:46:56');
INSERT INTO goose_db_version VALUES(2,1,1,'2026-11-29 07:46:56');
INSERT INTO goose_db_version VALUES(3,2,1,'2026-11-29 07:46:56');
INSERT INTO goose_db_version VALUES(5,3,1,'2026-11-29 07:46:58');
