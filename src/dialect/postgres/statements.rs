//! What the extension that counts statements has seen, and why it may not have seen everything.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::wrap;
use super::quote;
use super::session::exists;
use crate::dialect::{Counted, Observation, SessionError, StatementLog};
use crate::sql::{ColumnRef, Ident, TableName};

/// Runs, and must be counted, or nothing may be.
const CANARY: &str = "SELECT 1 AS zdmig_canary";

/// Reads it all; the inner error says why there is nothing to read.
pub(super) async fn read(
    conn: &mut PgConnection,
) -> Result<Result<StatementLog, String>, SessionError> {
    let row = sqlx::query(
        "SELECT (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                  WHERE e.extname = 'pg_stat_statements'),
                current_setting('pg_stat_statements.track', true)",
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(wrap)?;
    let (schema, track) = (get::<Option<String>>(&row, 0)?, get::<Option<String>>(&row, 1)?);
    let Some(schema) = schema else {
        return Ok(Err("the extension pg_stat_statements is not made in this database".into()));
    };
    if track.is_none() {
        let why = "pg_stat_statements is not in shared_preload_libraries, so nothing is counted";
        return Ok(Err(why.into()));
    }
    let schema = quote::ident(&Ident::new(&schema));
    let mut flaws = standing_flaws(conn, track.as_deref().unwrap_or("none")).await?;
    if !sings(conn, &schema).await? {
        flaws.push(
            "a statement that was just run is not there, so others may be missing, too".into(),
        );
    }
    let info = format!("{schema}.pg_stat_statements_info");
    let (reset, lost) = if exists(conn, &info).await? {
        let sql = format!("SELECT stats_reset::text, dealloc FROM {info}");
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *conn).await.map_err(wrap)?;
        (get(&row, 0)?, get(&row, 1)?)
    } else {
        flaws.push(
            "a server older than 14 does not say which statements made room for others".into(),
        );
        (String::new(), 0)
    };
    let sql = format!(
        "SELECT concat_ws('/', s.userid, s.dbid, s.queryid, to_jsonb(s) -> 'toplevel'),
                coalesce(r.rolname::text, s.userid::text), s.calls, coalesce(s.query, ''),
                -- What a foreign key looks for is no code of anybody's.
                to_jsonb(s) -> 'toplevel' = 'false' AND s.query LIKE 'SELECT 1 FROM ONLY \"%'
           FROM {schema}.pg_stat_statements s LEFT JOIN pg_roles r ON r.oid = s.userid
          WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *conn).await.map_err(wrap)?;
    let mut counted = Vec::with_capacity(rows.len());
    let mut hidden = false;
    for row in &rows {
        let mut text: String = get(row, 3)?;
        hidden |= text.is_empty() || text == "<insufficient privilege>";
        if get::<Option<bool>>(row, 4)?.unwrap_or(false) {
            text.clear();
        }
        let (key, role, calls) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
        counted.push(Counted { key, role, calls, text, index: None });
    }
    counted.extend(scans(conn).await?);
    if hidden {
        flaws
            .push("some texts are hidden from this role: GRANT pg_read_all_stats to it".to_owned());
    }
    let row = sqlx::query(
        "SELECT clock_timestamp(), session_user::text,
                (SELECT count(*) FROM pg_stat_replication r
                  WHERE r.state IS DISTINCT FROM 'backup' AND r.application_name <> 'pg_receivewal'
                    AND NOT EXISTS (SELECT FROM pg_replication_slots s
                                     WHERE s.active_pid = r.pid AND s.slot_type = 'logical')),
                ARRAY(SELECT r.rolname::text FROM pg_roles r WHERE r.rolcanlogin AND NOT r.rolsuper
                         AND r.rolname <> session_user AND pg_has_role(r.oid, session_user, 'MEMBER')),
                (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                  WHERE p.prosecdef AND p.proowner = (SELECT oid FROM pg_roles WHERE rolname = session_user)
                    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'zdmig'))",
    )
    .fetch_one(conn)
    .await
    .map_err(wrap)?;
    let (at, own, replicas) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
    let definers: i64 = get(&row, 4)?;
    if definers > 0 {
        flaws.push(format!(
            "{definers} functions run as zdmig's own role, whose statements are not looked at"
        ));
    }
    let become_own = get(&row, 3)?;
    Ok(Ok(StatementLog { at, reset, lost, flaws, own, become_own, replicas, counted }))
}

/// Whether a statement that we run is counted.
async fn sings(conn: &mut PgConnection, schema: &str) -> Result<bool, SessionError> {
    let counted = format!(
        "SELECT coalesce(sum(calls), 0)::bigint FROM {schema}.pg_stat_statements
          WHERE query LIKE '%zdmig_canary%'"
    );
    let mut sung = Vec::new();
    for sing in [true, false] {
        let sum = sqlx::query(AssertSqlSafe(counted.clone())).fetch_one(&mut *conn).await;
        sung.push(get::<i64>(&sum.map_err(wrap)?, 0)?);
        if sing {
            sqlx::raw_sql(CANARY).execute(&mut *conn).await.map_err(wrap)?;
        }
    }
    Ok(sung[1] > sung[0])
}

/// How often each index was scanned: nobody scans one who does not use its first column.
async fn scans(conn: &mut PgConnection) -> Result<Vec<Counted>, SessionError> {
    let rows = sqlx::query(
        "SELECT 'index/' || s.indexrelid, s.idx_scan, s.schemaname::text, s.relname::text,
                a.attname::text, s.indexrelname::text
           FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
          WHERE s.schemaname <> 'zdmig' AND s.schemaname NOT LIKE 'pg\\_%'",
    )
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let one = |row| {
        let (schema, table): (String, String) = (get(row, 2)?, get(row, 3)?);
        let table = TableName::new(Some(&schema), &table);
        let column = ColumnRef::new(&table, &Ident::new(&get::<String>(row, 4)?));
        Ok(Counted {
            key: get(row, 0)?,
            role: String::new(),
            calls: get(row, 1)?,
            text: String::new(),
            index: Some((get(row, 5)?, column)),
        })
    };
    rows.iter().map(one).collect()
}

/// What sessions run just now, or ran a moment ago.
pub(super) async fn running(
    conn: &mut PgConnection,
    passed: &[String],
) -> Result<Vec<Counted>, SessionError> {
    let rows = sqlx::query(
        "SELECT pid::text, coalesce(usename::text, ''), query FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND coalesce(backend_type, 'client backend') = 'client backend'
            AND application_name NOT LIKE 'zdmig%' AND usename <> ALL ($1)
            AND (state <> 'idle' OR state_change > clock_timestamp() - interval '1 minute')
            AND query NOT IN ('', '<insufficient privilege>')
          ORDER BY pid",
    )
    .bind(passed)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let one = |row| {
        let (key, role, text) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
        Ok(Counted { key, role, calls: 1, text, index: None })
    };
    rows.iter().map(one).collect()
}

/// What hides statements from the counting.
async fn standing_flaws(conn: &mut PgConnection, track: &str) -> Result<Vec<String>, SessionError> {
    let mut flaws = Vec::new();
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                   JOIN pg_language l ON l.oid = p.prolang
                  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'zdmig')
                    AND l.lanname NOT IN ('internal', 'c')
                    AND to_jsonb(p) ->> 'prosqlbody' IS NULL),
                (SELECT string_agg(DISTINCT c || ' for ' || coalesce(r.rolname::text, 'all roles'), ', ')
                   FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole,
                        unnest(s.setconfig) c
                  WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                    AND (c LIKE 'pg_stat_statements.track=%' AND c NOT LIKE '%=all'
                      OR c LIKE 'pg_stat_statements.track_utility=%' AND c NOT LIKE '%=on'
                      OR c LIKE 'compute_query_id=off%')),
                current_setting('pg_stat_statements.track_utility', true),
                current_setting('compute_query_id', true)",
    )
    .fetch_one(conn)
    .await
    .map_err(wrap)?;
    let bodies: i64 = get(&row, 0)?;
    match track {
        "none" => flaws.push("pg_stat_statements.track is `none`, so nothing is counted".into()),
        "top" if bodies > 0 => flaws.push(format!(
            "pg_stat_statements.track is `top`, and what {bodies} functions run is not counted: set it to `all`"
        )),
        _ => {}
    }
    if let Some(roles) = get::<Option<String>>(&row, 1)? {
        flaws.push(format!("what some run is not counted, by settings of their own: {roles}"));
    }
    if get::<Option<String>>(&row, 2)?.as_deref() == Some("off") {
        flaws.push(
            "pg_stat_statements.track_utility is off: COPY and cursors are not counted".into(),
        );
    }
    if get::<Option<String>>(&row, 3)?.as_deref() == Some("off") {
        flaws.push("compute_query_id is off, so nothing is counted".into());
    }
    Ok(flaws)
}

/// Where the windows of an environment begin.
pub(super) async fn observations(
    conn: &mut PgConnection,
    env: &str,
) -> Result<Vec<Observation>, SessionError> {
    if !exists(conn, "zdmig.observation").await? {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT node, since, reset, lost, calls::text FROM zdmig.observation WHERE env = $1 ORDER BY node",
    )
    .bind(env)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let one = |row| {
        let calls: BTreeMap<String, i64> =
            serde_json::from_str(&get::<String>(row, 4)?).map_err(super::session::unreadable)?;
        Ok(Observation {
            node: get(row, 0)?,
            since: get(row, 1)?,
            reset: get(row, 2)?,
            lost: get(row, 3)?,
            calls,
        })
    };
    rows.iter().map(one).collect()
}

/// Begins a window on a server.
pub(super) async fn observe(
    conn: &mut PgConnection,
    env: &str,
    node: &str,
    log: &StatementLog,
) -> Result<(), SessionError> {
    let calls: BTreeMap<&str, i64> =
        log.counted.iter().map(|one| (one.key.as_str(), one.calls)).collect();
    let calls = serde_json::to_string(&calls).map_err(super::session::unreadable)?;
    sqlx::query(
        "INSERT INTO zdmig.observation (env, node, since, reset, lost, calls)
         VALUES ($1, $2, $3, $4, $5, $6::text::jsonb)
         ON CONFLICT (env, node) DO UPDATE SET since = excluded.since, reset = excluded.reset,
             lost = excluded.lost, calls = excluded.calls",
    )
    .bind(env)
    .bind(node)
    .bind(log.at)
    .bind(&log.reset)
    .bind(log.lost)
    .bind(calls)
    .execute(conn)
    .await
    .map_err(wrap)?;
    Ok(())
}
