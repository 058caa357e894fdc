//! What zdmig keeps in a database: one schema, made by the first verb that writes.

/// The version of the bookkeeping; a newer one is refused by an older program.
pub(super) const FORMAT: i32 = 9;

/// The advisory lock that only one zdmig holds: "zdmig" as a number.
pub(super) const RUN_LOCK: i64 = 0x007a_646d_6967;

/// How far each fill has come: its step, the rows of all its parts, and whether it is done.
pub(super) const FILLS: &str = "SELECT step, (rows + (SELECT coalesce(sum(p.rows), 0)
     FROM zdmig.part p WHERE p.step = f.step))::bigint, complete,
     (SELECT count(*) FROM zdmig.failed x WHERE x.step = f.step), (seen + (SELECT
     coalesce(sum(p.seen), 0) FROM zdmig.part p WHERE p.step = f.step))::bigint FROM zdmig.fill f";

/// Makes the schema and what is in it. Idempotent; run under [`RUN_LOCK`] in its
/// transaction form, so that two first runs do not meet.
pub(super) const CREATE: &str = r#"
CREATE SCHEMA IF NOT EXISTS zdmig;
CREATE TABLE IF NOT EXISTS zdmig.format (version int NOT NULL);
INSERT INTO zdmig.format SELECT 9 WHERE NOT EXISTS (SELECT FROM zdmig.format);
UPDATE zdmig.format SET version = 9;
-- Of format 1, which had one row a fill: a fill in flight begins again.
DROP TABLE IF EXISTS zdmig.watermark;
CREATE TABLE IF NOT EXISTS zdmig.journal (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step text NOT NULL,
    plan text NOT NULL,
    kind text NOT NULL,
    detail jsonb NOT NULL,
    written_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- A fill: the relations it goes over, and where the next part of them begins.
CREATE TABLE IF NOT EXISTS zdmig.fill (
    step text PRIMARY KEY,
    leaves jsonb NOT NULL,
    leaf int NOT NULL DEFAULT 0,
    page bigint NOT NULL DEFAULT 0,
    parts int NOT NULL DEFAULT 0,
    -- Those of parts that are done; a part counts its own.
    rows bigint NOT NULL DEFAULT 0,
    -- Rows that a proof looked at, in the same way.
    seen bigint NOT NULL DEFAULT 0,
    complete boolean NOT NULL DEFAULT false,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
-- A part of it that a worker is at, or was. Who works on one says its token: a worker that was
-- thought dead finds another one and stops.
CREATE TABLE IF NOT EXISTS zdmig.part (
    step text NOT NULL REFERENCES zdmig.fill ON DELETE CASCADE,
    no int NOT NULL,
    leaf int NOT NULL,
    lo bigint NOT NULL DEFAULT 0,
    hi bigint NOT NULL DEFAULT 0,
    passes int NOT NULL DEFAULT 1,
    pass int NOT NULL DEFAULT 0,
    page bigint NOT NULL DEFAULT 0,
    upto text[] NOT NULL DEFAULT '{}',
    skipped boolean NOT NULL DEFAULT false,
    rows bigint NOT NULL DEFAULT 0,
    seen bigint NOT NULL DEFAULT 0,
    token bigint NOT NULL,
    pid int,
    born timestamptz,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (step, no)
) WITH (fillfactor = 50);
-- Of format 2.
ALTER TABLE zdmig.fill ADD COLUMN IF NOT EXISTS seen bigint NOT NULL DEFAULT 0;
ALTER TABLE zdmig.part ADD COLUMN IF NOT EXISTS seen bigint NOT NULL DEFAULT 0;
CREATE SEQUENCE IF NOT EXISTS zdmig.token;
-- Rows that a fill left out because they fail, by their key or, without one, their place.
CREATE TABLE IF NOT EXISTS zdmig.failed (
    step text NOT NULL REFERENCES zdmig.fill ON DELETE CASCADE,
    relation text NOT NULL,
    key text[] NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    -- Whether it is to be tried again.
    again boolean NOT NULL DEFAULT false,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (step, relation, key)
);
-- What people ask of the fills whose steps begin with that.
CREATE TABLE IF NOT EXISTS zdmig.steering (
    prefix text PRIMARY KEY,
    paused_by text,
    pace text,
    workers int,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- What those who are at a fill say of themselves.
CREATE TABLE IF NOT EXISTS zdmig.runner (
    step text NOT NULL REFERENCES zdmig.fill ON DELETE CASCADE,
    owner text NOT NULL,
    workers int NOT NULL,
    pace text NOT NULL,
    rate float8 NOT NULL,
    held_by text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (step, owner)
) WITH (fillfactor = 50);
-- Who holds the run lock, or did: of the whole database, or of one schema of several.
CREATE TABLE IF NOT EXISTS zdmig.lease (
    scope text NOT NULL DEFAULT '',
    token bigint NOT NULL,
    owner text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Of format 6, which had one row.
ALTER TABLE zdmig.lease ADD COLUMN IF NOT EXISTS scope text NOT NULL DEFAULT '';
ALTER TABLE zdmig.lease DROP COLUMN IF EXISTS only_one;
CREATE UNIQUE INDEX IF NOT EXISTS lease_scope ON zdmig.lease (scope);
INSERT INTO zdmig.lease (token, owner) VALUES (0, '') ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS zdmig.retired (
    relation text NOT NULL,
    column_name text NOT NULL,
    table_grants jsonb NOT NULL,
    column_grants jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (relation, column_name)
);
CREATE TABLE IF NOT EXISTS zdmig.key_aside (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    statement text NOT NULL
);
CREATE TABLE IF NOT EXISTS zdmig.seeded (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag text NOT NULL,
    relation text NOT NULL,
    seed jsonb NOT NULL
);
CREATE TABLE IF NOT EXISTS zdmig.heartbeat (
    env text NOT NULL,
    service text NOT NULL,
    version text NOT NULL,
    instance text NOT NULL,
    role name NOT NULL DEFAULT session_user,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (env, service, version, instance)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS zdmig.deployment (
    env text NOT NULL,
    service text NOT NULL,
    version text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended timestamptz,
    PRIMARY KEY (env, service, version)
);
-- Versions that others run, beside each other and for as long as they like.
CREATE TABLE IF NOT EXISTS zdmig.release (LIKE zdmig.deployment INCLUDING DEFAULTS INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS zdmig.usage (
    service text NOT NULL,
    version text NOT NULL,
    manifest text NOT NULL,
    published timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (service, version)
);
-- Who approved which plan. The role is the server's word, so let approvers log in as themselves and
-- insert the other columns alone.
CREATE TABLE IF NOT EXISTS zdmig.approval (
    migration text NOT NULL,
    fingerprint text NOT NULL,
    who text NOT NULL,
    plan text NOT NULL,
    role name NOT NULL DEFAULT session_user,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration, fingerprint, who)
);
-- What was found when a plan was rehearsed on a database that was thrown away.
CREATE TABLE IF NOT EXISTS zdmig.rehearsal (
    migration text NOT NULL,
    fingerprint text NOT NULL,
    report text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Where windows on what runs begin: how often each statement had run on a server.
CREATE TABLE IF NOT EXISTS zdmig.observation (
    env text NOT NULL,
    node text NOT NULL,
    since timestamptz NOT NULL,
    reset text NOT NULL,
    lost bigint NOT NULL,
    calls jsonb NOT NULL,
    PRIMARY KEY (env, node)
);
-- What a migration takes away, or is about to: only versions that are cleared do without it.
CREATE TABLE IF NOT EXISTS zdmig.fence (
    env text NOT NULL,
    migration text NOT NULL,
    alive interval NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (env, migration)
);
CREATE TABLE IF NOT EXISTS zdmig.cleared (
    env text NOT NULL,
    migration text NOT NULL,
    service text NOT NULL,
    version text NOT NULL,
    PRIMARY KEY (env, migration, service, version)
);
-- Versions behind the fence that somebody answers for: they may be there, and may not start.
CREATE TABLE IF NOT EXISTS zdmig.admitted (LIKE zdmig.cleared INCLUDING INDEXES);
CREATE OR REPLACE FUNCTION zdmig.fenced(env text, service text, version text)
RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $zdmig$
    SELECT f.migration FROM zdmig.fence f
     WHERE f.env = $1 AND NOT EXISTS (SELECT FROM zdmig.cleared c
           WHERE c.env = $1 AND c.migration = f.migration AND c.service = $2 AND c.version = $3)
     ORDER BY f.since
$zdmig$;
-- Why a migration may not go on: who came to life behind its fence, and who waits for our lock with a
-- statement that names what goes. Asked in the transaction that takes away.
CREATE OR REPLACE FUNCTION zdmig.entered(migration text)
RETURNS SETOF text LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    waiting jsonb;
BEGIN
    -- First who waits, then what for: they wait for as long as this transaction lasts. In the other order what a
    -- session did before would be taken for what it waits with, and who comes in between would not be seen.
    SELECT jsonb_agg(jsonb_build_object('pid', l.pid, 'gone', t.target->'column'->>'column')) INTO waiting
       FROM (SELECT t.target FROM (SELECT j.detail FROM zdmig.journal j
                      WHERE j.kind = 'planned' AND j.detail->'plan'->>'migration' = $1
                      ORDER BY j.seq DESC LIMIT 1) j,
                    jsonb_array_elements(j.detail->'plan'->'requirement'->'targets') AS t (target)
              WHERE t.target->>'ends' = 'any' AND t.target->'column'->>'column' <> '*') t
       JOIN (SELECT c.oid, replace(c.relname, '.', '..') AS name,
                    replace(n.nspname, '.', '..') || '.' || replace(c.relname, '.', '..') AS whole
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) c
         ON t.target->'column'->>'table' IN (c.name, c.whole)
       JOIN pg_locks l ON l.relation = c.oid AND NOT l.granted AND l.database = (SELECT oid FROM
                pg_database WHERE datname = current_database());
    -- What was seen of the sessions before stays as it was seen for as long as the transaction lasts.
    PERFORM pg_stat_clear_snapshot();
    RETURN QUERY SELECT seen.who || ' is not known to do without what would go'
      FROM (SELECT f.env, h.service, h.version,
                   format('%s@%s (heartbeat of `%s`) has come to life and', h.service, h.version, h.instance) AS who
              FROM zdmig.fence f JOIN zdmig.heartbeat h ON h.env = f.env
             WHERE f.migration = $1 AND h.last_seen > clock_timestamp() - f.alive
            UNION ALL
            SELECT f.env, substring(a.application_name FROM '^([^@]+)@'),
                   substring(a.application_name FROM '^[^@]+@([^#]+)'),
                   format('%s (session %s of role `%s`) has come to life and', a.application_name, a.pid, a.usename)
              FROM zdmig.fence f, pg_stat_activity a
             WHERE f.migration = $1 AND a.datname = current_database()
               AND a.application_name ~ '^[^@]+@[^#]') seen
     WHERE NOT EXISTS (SELECT FROM (TABLE zdmig.cleared UNION ALL TABLE zdmig.admitted) c
           WHERE c.env = seen.env AND c.migration = $1 AND c.service = seen.service
             AND c.version = seen.version)
     LIMIT 1;
    RETURN QUERY SELECT format('a session of role `%s` (%s) waits with a statement that names `%s`', a.usename,
                   coalesce(nullif(a.application_name, ''), 'no name'), w.gone)
      FROM jsonb_to_recordset(waiting) AS w (pid int, gone text) JOIN pg_stat_activity a ON a.pid = w.pid
     WHERE NOT EXISTS (SELECT FROM zdmig.admitted v WHERE v.migration = $1
             AND v.service = substring(a.application_name FROM '^([^@]+)@')
             AND v.version = substring(a.application_name FROM '^[^@]+@([^#]+)'))
       AND a.query ~* ('\m' || regexp_replace(w.gone, '([^[:alnum:]_])', '\\\1', 'g') || '\M')
     LIMIT 1;
END $zdmig$;
CREATE OR REPLACE FUNCTION zdmig.heartbeat(env text, service text, version text, instance text)
RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $zdmig$
    INSERT INTO zdmig.heartbeat AS h (env, service, version, instance)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT heartbeat_pkey DO UPDATE SET last_seen = clock_timestamp();
    SELECT coalesce('fenced: ' || (SELECT zdmig.fenced($1, $2, $3) LIMIT 1), 'ok')
$zdmig$;
CREATE OR REPLACE FUNCTION zdmig.goodbye(env text, service text, version text, instance text)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $zdmig$
    DELETE FROM zdmig.heartbeat h
     WHERE h.env = $1 AND h.service = $2 AND h.version = $3 AND h.instance = $4
$zdmig$;
-- Refuses a retired column that somebody can still use.
CREATE OR REPLACE FUNCTION zdmig.nobody_uses(rel oid, gone text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    left_over text;
BEGIN
    SELECT string_agg(r.rolname, ', ') INTO left_over
      FROM pg_roles r
     WHERE r.rolcanlogin AND NOT r.rolsuper
       -- Members of these (since 14) read or write everything, whatever is revoked.
       AND NOT EXISTS (SELECT FROM pg_roles m WHERE m.rolname IN ('pg_read_all_data', 'pg_write_all_data')
                          AND pg_has_role(r.oid, m.oid, 'USAGE'))
       AND has_column_privilege(r.oid, rel, gone, 'SELECT, INSERT, UPDATE');
    IF left_over IS NOT NULL THEN
        RAISE EXCEPTION 'the column % of % cannot be taken from: %', gone, rel::regclass, left_over
              USING HINT = 'a role other than the owner granted it; revoke that grant first';
    END IF;
END $zdmig$;
-- Takes one column away from every role and leaves everything else as it was: a privilege
-- on the table becomes the same privilege on each other column, because a column cannot be
-- revoked from under a table's grant. What was there is kept, to be put back exactly.
CREATE OR REPLACE FUNCTION zdmig.retire_column(relation text, gone text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    rel oid := to_regclass(relation)::oid;
    one record;
    others text;
    whole jsonb;
    single jsonb;
BEGIN
    IF EXISTS (SELECT FROM zdmig.retired r
                WHERE r.relation = retire_column.relation AND r.column_name = gone) THEN
        RAISE EXCEPTION 'the column % of % is retired already', gone, relation;
    END IF;
    -- Of a table that has lost a column before, every privilege is on columns by now.
    INSERT INTO zdmig.retired (relation, column_name, table_grants, column_grants)
    SELECT r.relation, gone, r.table_grants, r.column_grants FROM zdmig.retired r
     WHERE r.relation = retire_column.relation LIMIT 1;
    IF FOUND THEN
        FOR one IN SELECT a.grantee AS role, a.privilege_type AS privilege
                     FROM pg_attribute t, aclexplode(t.attacl) a
                    WHERE t.attrelid = rel AND t.attname = gone AND NOT t.attisdropped LOOP
            EXECUTE format('REVOKE %s (%I) ON TABLE %s FROM %s CASCADE', one.privilege, gone,
                           relation,
                           CASE one.role WHEN 0 THEN 'PUBLIC' ELSE one.role::regrole::text END);
        END LOOP;
        PERFORM zdmig.nobody_uses(rel, gone);
        RETURN;
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'role', a.grantee, 'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]')
      INTO whole
      FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
     WHERE c.oid = rel AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES');
    SELECT coalesce(jsonb_agg(jsonb_build_object('column', t.attname, 'role', a.grantee,
               'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]')
      INTO single
      FROM pg_attribute t, aclexplode(t.attacl) a
     WHERE t.attrelid = rel AND t.attnum > 0 AND NOT t.attisdropped;
    INSERT INTO zdmig.retired (relation, column_name, table_grants, column_grants)
    VALUES (retire_column.relation, gone, whole, single);
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO others
      FROM pg_attribute
     WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped AND attname <> gone;
    FOR one IN SELECT * FROM jsonb_to_recordset(whole)
                 AS g(role oid, privilege text, grantable boolean) LOOP
        EXECUTE format('REVOKE %s ON TABLE %s FROM %s CASCADE', one.privilege, relation,
                       CASE one.role WHEN 0 THEN 'PUBLIC' ELSE one.role::regrole::text END);
    END LOOP;
    FOR one IN SELECT * FROM jsonb_to_recordset(whole)
                 AS g(role oid, privilege text, grantable boolean)
               WHERE others IS NOT NULL LOOP
        EXECUTE format('GRANT %s (%s) ON TABLE %s TO %s%s', one.privilege, others, relation,
                       CASE one.role WHEN 0 THEN 'PUBLIC' ELSE one.role::regrole::text END,
                       CASE WHEN one.grantable AND one.role <> 0
                             AND one.role <> (SELECT relowner FROM pg_class WHERE oid = rel)
                            THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    FOR one IN SELECT * FROM jsonb_to_recordset(single)
                 AS g("column" text, role oid, privilege text, grantable boolean) LOOP
        EXECUTE format(CASE WHEN one."column" = gone THEN 'REVOKE %s (%I) ON TABLE %s FROM %s CASCADE'
                            ELSE 'GRANT %s (%I) ON TABLE %s TO %s%s' END,
                       one.privilege, one."column", relation,
                       CASE one.role WHEN 0 THEN 'PUBLIC' ELSE one.role::regrole::text END,
                       CASE WHEN one.grantable AND one."column" <> gone
                            THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    PERFORM zdmig.nobody_uses(rel, gone);
END $zdmig$;
-- Columns that are away for a while. Whoever took them holds the run lock for as long, so who has
-- that lock may give them back.
CREATE TABLE IF NOT EXISTS zdmig.brownout (
    relation text NOT NULL,
    column_name text NOT NULL,
    migration text NOT NULL,
    owner text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (relation, column_name)
);
CREATE OR REPLACE FUNCTION zdmig.end_brownout()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    one record;
BEGIN
    FOR one IN DELETE FROM zdmig.brownout RETURNING relation, column_name LOOP
        PERFORM zdmig.restore_column(one.relation, one.column_name);
    END LOOP;
END $zdmig$;
CREATE OR REPLACE FUNCTION zdmig.restore_column(relation text, gone text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    rel oid := to_regclass(relation)::oid;
    kept zdmig.retired;
    one record;
    col name;
BEGIN
    DELETE FROM zdmig.retired r
     WHERE r.relation = restore_column.relation AND r.column_name = gone
    RETURNING * INTO kept;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM zdmig.retired r WHERE r.relation = restore_column.relation) THEN
        -- Others stay retired: this one gets what the columns of the table have meanwhile.
        FOR one IN SELECT g.role, g.privilege, g.grantable, true AS whole
                     FROM jsonb_to_recordset(kept.table_grants)
                       AS g(role oid, privilege text, grantable boolean)
                   UNION
                   SELECT g.role, g.privilege, g.grantable, false
                     FROM jsonb_to_recordset(kept.column_grants)
                       AS g("column" text, role oid, privilege text, grantable boolean)
                    WHERE g."column" = gone LOOP
            CONTINUE WHEN one.role <> 0 AND NOT EXISTS (SELECT FROM pg_roles WHERE oid = one.role);
            -- What was revoked meanwhile stays so.
            CONTINUE WHEN one.whole AND NOT EXISTS (
                SELECT FROM pg_attribute t, aclexplode(t.attacl) a
                 WHERE t.attrelid = rel AND t.attnum > 0 AND NOT t.attisdropped
                   AND a.grantee = one.role AND a.privilege_type = one.privilege);
            EXECUTE format('GRANT %s (%I) ON TABLE %s TO %s%s', one.privilege, gone, relation,
                           CASE one.role WHEN 0 THEN 'PUBLIC' ELSE one.role::regrole::text END,
                           CASE WHEN one.grantable AND one.role <> 0
                                 AND one.role <> (SELECT relowner FROM pg_class WHERE oid = rel)
                                THEN ' WITH GRANT OPTION' ELSE '' END);
        END LOOP;
        RETURN;
    END IF;
    -- What retire gave in place of a privilege on the table is taken back and the privilege
    -- on the table given again, to whom still has it: what was revoked or granted meanwhile
    -- stays so.
    FOR one IN SELECT g.*, g.role = (SELECT relowner FROM pg_class WHERE oid = rel) AS owns
                 FROM jsonb_to_recordset(kept.table_grants)
                   AS g(role oid, privilege text, grantable boolean)
                WHERE (role = 0 OR EXISTS (SELECT FROM pg_roles WHERE oid = role))
                  AND EXISTS (SELECT FROM pg_attribute t, aclexplode(t.attacl) a
                               WHERE t.attrelid = rel AND t.attnum > 0 AND NOT t.attisdropped
                                 AND a.grantee = g.role AND a.privilege_type = g.privilege) LOOP
        FOR col IN SELECT t.attname FROM pg_attribute t, aclexplode(t.attacl) a
                    WHERE t.attrelid = rel AND t.attnum > 0 AND NOT t.attisdropped
                      AND a.grantee = one.role AND a.privilege_type = one.privilege LOOP
            EXECUTE format('REVOKE %s (%I) ON TABLE %s FROM %s CASCADE', one.privilege, col, relation,
                           CASE one.role WHEN 0 THEN 'PUBLIC' ELSE one.role::regrole::text END);
        END LOOP;
        EXECUTE format('GRANT %s ON TABLE %s TO %s%s', one.privilege, relation,
                       CASE one.role WHEN 0 THEN 'PUBLIC' ELSE one.role::regrole::text END,
                       CASE WHEN one.grantable AND one.role <> 0 AND NOT one.owns
                            THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    FOR one IN SELECT g.* FROM jsonb_to_recordset(kept.column_grants)
                 AS g("column" text, role oid, privilege text, grantable boolean)
                WHERE EXISTS (SELECT FROM pg_attribute WHERE attrelid = rel
                                 AND attname = "column" AND NOT attisdropped)
                  AND (role = 0 OR EXISTS (SELECT FROM pg_roles WHERE oid = role)) LOOP
        EXECUTE format('GRANT %s (%I) ON TABLE %s TO %s%s', one.privilege, one."column",
                       relation,
                       CASE one.role WHEN 0 THEN 'PUBLIC' ELSE one.role::regrole::text END,
                       CASE WHEN one.grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END $zdmig$;
-- Lets another column of the same table be counted up in the place of the one that was:
-- by the same sequence, or as an identity that goes on where the old one stands.
CREATE OR REPLACE FUNCTION zdmig.move_counting(relation text, gone text, comes text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    rel oid := to_regclass(relation)::oid;
    kind "char";
    seq record;
    one record;
    last bigint;
    called boolean;
    acl aclitem[];
    lowest bigint;
    highest bigint;
BEGIN
    SELECT attidentity INTO kind FROM pg_attribute
     WHERE attrelid = rel AND attname = gone AND NOT attisdropped;
    IF kind = '' THEN
        FOR one IN SELECT d.objid::regclass::text AS name
                     FROM pg_depend d JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S'
                     JOIN pg_attribute a ON a.attrelid = rel AND a.attnum = d.refobjsubid
                    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                      AND d.refobjid = rel AND d.deptype = 'a' AND a.attname = gone LOOP
            EXECUTE format('ALTER SEQUENCE %s OWNED BY %s.%I', one.name, relation, comes);
        END LOOP;
        RETURN;
    END IF;
    SELECT s.*, format('%I.%I', n.nspname, q.relname) AS name, q.relacl, q.relowner INTO seq
      FROM pg_sequence s JOIN pg_class q ON q.oid = s.seqrelid
      JOIN pg_namespace n ON n.oid = q.relnamespace
     WHERE s.seqrelid = pg_get_serial_sequence(relation, gone)::regclass;
    acl := seq.relacl;
    EXECUTE format('SELECT last_value, is_called FROM %s', seq.name) INTO last, called;
    -- Limits that are only those of the old type give way to those of the new one.
    SELECT t.lowest, t.highest INTO lowest, highest
      FROM (VALUES ('int2'::regtype, -32768::bigint, 32767::bigint),
                   ('int4', -2147483648, 2147483647),
                   ('int8', -9223372036854775808, 9223372036854775807))
           AS t(kind, lowest, highest) WHERE t.kind = seq.seqtypid;
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY', relation, gone);
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY '
                   '(SEQUENCE NAME %s START %s INCREMENT %s %s %s CACHE %s %s)',
                   relation, comes, CASE kind WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
                   seq.name, seq.seqstart, seq.seqincrement,
                   CASE WHEN seq.seqmin <> lowest THEN 'MINVALUE ' || seq.seqmin END,
                   CASE WHEN seq.seqmax <> highest THEN 'MAXVALUE ' || seq.seqmax END,
                   seq.seqcache, CASE WHEN seq.seqcycle THEN 'CYCLE' END);
    -- Past the end of a narrower type it stands at its end, and says so when it is asked.
    SELECT least(greatest(last, s.seqmin), s.seqmax), called OR last > s.seqmax
      INTO last, called FROM pg_sequence s WHERE s.seqrelid = seq.name::regclass;
    PERFORM setval(seq.name::regclass, last, called);
    FOR one IN SELECT g.* FROM aclexplode(acl) g WHERE g.grantee <> seq.relowner LOOP
        EXECUTE format('GRANT %s ON SEQUENCE %s TO %s%s', one.privilege_type, seq.name,
                       CASE one.grantee WHEN 0 THEN 'PUBLIC' ELSE one.grantee::regrole::text END,
                       CASE WHEN one.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END $zdmig$;
REVOKE ALL ON FUNCTION zdmig.move_counting(text, text, text) FROM PUBLIC;
-- Takes every foreign key off an index that must be built anew, and puts them back, as they
-- are by then called, in the same transaction.
CREATE OR REPLACE FUNCTION zdmig.set_keys_aside(index text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT c.oid, c.conname, c.conrelid::regclass::text AS relation
                 FROM pg_constraint c
                WHERE c.contype = 'f' AND c.conindid = to_regclass(index) LOOP
        INSERT INTO zdmig.key_aside (statement)
        VALUES (format('ALTER TABLE %s ADD CONSTRAINT %I %s', one.relation, one.conname,
                       pg_get_constraintdef(one.oid)));
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.relation, one.conname);
    END LOOP;
END $zdmig$;
CREATE OR REPLACE FUNCTION zdmig.put_keys_back()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT seq, statement FROM zdmig.key_aside ORDER BY seq LOOP
        EXECUTE one.statement;
        DELETE FROM zdmig.key_aside WHERE seq = one.seq;
    END LOOP;
END $zdmig$;
-- Notes a row that a migration inserts, and takes such rows back, the last one first: all
-- but those that somebody changed or that other rows point to by now, whatever those keys
-- would do if the row went.
CREATE OR REPLACE FUNCTION zdmig.note_seed(tag text, relation text, seed jsonb)
RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $zdmig$
    INSERT INTO zdmig.seeded (tag, relation, seed) VALUES ($1, $2, $3)
$zdmig$;
CREATE OR REPLACE FUNCTION zdmig.take_seeds_back(tag text, relation text, key text[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $zdmig$
DECLARE
    one record;
    which text;
    free text;
BEGIN
    SELECT string_agg(format('t.%1$I = r.%1$I', k), ' AND ') INTO which FROM unnest(key) k;
    SELECT string_agg(format('NOT EXISTS (SELECT FROM %s c WHERE (c.tableoid, c.ctid) <> (t.tableoid, t.ctid) AND %s)',
                             f.conrelid::regclass, f.same), ' AND ')
      INTO free
      FROM (SELECT c.conrelid,
                   (SELECT string_agg(format('c.%I = t.%I', a.attname, b.attname), ' AND ')
                      FROM unnest(c.conkey, c.confkey) AS k(mine, theirs)
                      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
                      JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.theirs) AS same
              FROM pg_constraint c
             WHERE c.contype = 'f' AND c.confrelid = to_regclass(relation)) f;
    which := format('DELETE FROM %1$s t WHERE (t.tableoid, t.ctid) = (
                         SELECT t.tableoid, t.ctid
                           FROM %1$s t, jsonb_populate_record(NULL::%1$s, $1) r
                          WHERE %2$s AND %3$s
                            AND (SELECT jsonb_object_agg(k, v) FROM jsonb_each(to_jsonb(t)) AS e(k, v)
                                  WHERE $1 ? k) = $1
                          LIMIT 1)', relation, coalesce(which, 'true'), coalesce(free, 'true'));
    FOR one IN SELECT s.seq, s.seed FROM zdmig.seeded s WHERE s.tag = take_seeds_back.tag
               ORDER BY s.seq DESC LOOP
        BEGIN
            EXECUTE which USING one.seed;
            -- What is checked at the end of the transaction is checked here, where it can be borne.
            SET CONSTRAINTS ALL IMMEDIATE;
        EXCEPTION WHEN integrity_constraint_violation OR raise_exception THEN
            NULL;
        END;
        DELETE FROM zdmig.seeded s WHERE s.seq = one.seq;
    END LOOP;
END $zdmig$;
REVOKE ALL ON FUNCTION zdmig.note_seed(text, text, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION zdmig.take_seeds_back(text, text, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION zdmig.set_keys_aside(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION zdmig.put_keys_back() FROM PUBLIC;
REVOKE ALL ON FUNCTION zdmig.nobody_uses(oid, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION zdmig.retire_column(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION zdmig.restore_column(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION zdmig.end_brownout() FROM PUBLIC;
GRANT USAGE ON SCHEMA zdmig TO PUBLIC;
GRANT SELECT ON zdmig.format TO PUBLIC;
"#;
