//! What zdmig keeps in a database file: tables that start with `zdmig_`.

/// The version of the bookkeeping; a newer one is refused by an older program.
pub(super) const FORMAT: i64 = 7;

/// How far each fill has come: its step, its rows, whether it is done, and how many failed.
pub(super) const FILLS: &str = "SELECT w.step, w.rows, w.complete,
     (SELECT count(*) FROM zdmig_failed f WHERE f.step = w.step),
     coalesce((SELECT s.rows FROM zdmig_seen s WHERE s.step = w.step), 0) FROM zdmig_watermark w";

/// Makes the tables. Idempotent.
pub(super) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS zdmig_format (version INTEGER NOT NULL);
INSERT INTO zdmig_format SELECT 7 WHERE NOT EXISTS (SELECT 1 FROM zdmig_format);
UPDATE zdmig_format SET version = 7;
CREATE TABLE IF NOT EXISTS zdmig_journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    step TEXT NOT NULL,
    plan TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    written_by TEXT NOT NULL,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE TABLE IF NOT EXISTS zdmig_watermark (
    step TEXT PRIMARY KEY,
    upto TEXT NOT NULL,
    rows INTEGER NOT NULL,
    complete INTEGER NOT NULL
);
-- Rows that a proof looked at.
CREATE TABLE IF NOT EXISTS zdmig_seen (step TEXT PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS zdmig_failed (
    step TEXT NOT NULL,
    key TEXT NOT NULL,
    reason TEXT NOT NULL,
    again INTEGER NOT NULL DEFAULT 0,
    at TEXT NOT NULL DEFAULT (datetime('now')),
    PRIMARY KEY (step, key)
);
CREATE TABLE IF NOT EXISTS zdmig_steering (
    prefix TEXT PRIMARY KEY,
    paused_by TEXT,
    pace TEXT,
    workers INTEGER
);
CREATE TABLE IF NOT EXISTS zdmig_runner (
    step TEXT NOT NULL,
    owner TEXT NOT NULL,
    workers INTEGER NOT NULL,
    pace TEXT NOT NULL,
    rate REAL NOT NULL,
    held_by TEXT,
    at TEXT NOT NULL DEFAULT (datetime('now')),
    PRIMARY KEY (step, owner)
);
CREATE TABLE IF NOT EXISTS zdmig_lease (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    token INTEGER NOT NULL,
    owner TEXT NOT NULL,
    since TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
INSERT OR IGNORE INTO zdmig_lease (only_one, token, owner) VALUES (1, 0, '');
CREATE TABLE IF NOT EXISTS zdmig_heartbeat (
    env TEXT NOT NULL,
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    instance TEXT NOT NULL,
    last_seen TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (env, service, version, instance)
);
CREATE TABLE IF NOT EXISTS zdmig_deployment (
    env TEXT NOT NULL,
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    since TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    ended TEXT,
    PRIMARY KEY (env, service, version)
);
-- Versions that others run, beside each other and for as long as they like.
CREATE TABLE IF NOT EXISTS zdmig_release (
    env TEXT NOT NULL,
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    since TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    ended TEXT,
    PRIMARY KEY (env, service, version)
);
CREATE TABLE IF NOT EXISTS zdmig_usage (
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    manifest TEXT NOT NULL,
    published TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (service, version)
);
CREATE TABLE IF NOT EXISTS zdmig_approval (
    migration TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    who TEXT NOT NULL,
    plan TEXT NOT NULL,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (migration, fingerprint, who)
);
CREATE TABLE IF NOT EXISTS zdmig_rehearsal (
    migration TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    report TEXT NOT NULL,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
-- What a migration takes away, or is about to: only versions that are cleared do without it.
CREATE TABLE IF NOT EXISTS zdmig_fence (
    env TEXT NOT NULL,
    migration TEXT NOT NULL,
    alive_seconds TEXT NOT NULL,
    PRIMARY KEY (env, migration)
);
CREATE TABLE IF NOT EXISTS zdmig_cleared (
    env TEXT NOT NULL,
    migration TEXT NOT NULL,
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (env, migration, service, version)
);
-- Versions behind the fence that somebody answers for: they may be there, and may not start.
CREATE TABLE IF NOT EXISTS zdmig_admitted (
    env TEXT NOT NULL,
    migration TEXT NOT NULL,
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (env, migration, service, version)
);
";

/// Who came to life behind a migration's fence. Asked in the transaction that takes away.
pub(super) const ENTERED: &str = "
    SELECT h.service || '@' || h.version || ' (heartbeat of `' || h.instance ||
        '`) has come to life and is not known to do without what would go'
      FROM zdmig_fence f JOIN zdmig_heartbeat h ON h.env = f.env
     WHERE f.migration = ?1
       AND julianday(h.last_seen) > julianday('now') - CAST(f.alive_seconds AS REAL) / 86400.0
       AND NOT EXISTS (SELECT 1 FROM (SELECT * FROM zdmig_cleared UNION ALL SELECT * FROM zdmig_admitted) c
           WHERE c.env = f.env AND c.migration = f.migration
           AND c.service = h.service AND c.version = h.version) LIMIT 1";

/// The working name's beginning of everything else of ours.
pub(super) const PREFIX: &str = "zdmig_";
