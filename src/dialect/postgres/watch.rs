//! What another connection of ours sees of a statement that runs: who is in its way, and how far
//! it is.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::bookkeeping::RUN_LOCK;
use super::catalog::get;
use super::connect::wrap;
use super::quote;
use super::session::exists;
use crate::dialect::{AtWork, Blocker, Doing, SessionError, Strain};
use crate::sql::TableName;

pub(super) async fn blockers(
    watcher: &mut PgConnection,
    pid: i32,
) -> Result<Vec<Blocker>, SessionError> {
    described(watcher, "SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid", pid).await
}

/// Who locks a table of this database out for everybody.
pub(super) async fn holders(conn: &mut PgConnection) -> Result<Vec<Blocker>, SessionError> {
    let exclusive = "SELECT DISTINCT pid FROM pg_locks
                      WHERE mode = 'AccessExclusiveLock' AND granted AND pid <> $1 AND database =
                            (SELECT oid FROM pg_database WHERE datname = current_database())";
    let own = sqlx::query("SELECT pg_backend_pid()").fetch_one(&mut *conn).await.map_err(wrap)?;
    described(conn, exclusive, get(&own, 0)?).await
}

async fn described(
    watcher: &mut PgConnection,
    pids: &str,
    pid: i32,
) -> Result<Vec<Blocker>, SessionError> {
    let sql = format!(
        "SELECT b.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''),
                CASE WHEN b.pid = 0 THEN 'a prepared transaction'
                     WHEN a.backend_type = 'client backend' THEN coalesce(a.state, 'unknown')
                     ELSE coalesce(a.backend_type, 'unknown') END,
                coalesce(extract(epoch FROM clock_timestamp() - a.xact_start)::float8, 0),
                left(regexp_replace(coalesce(a.query, ''), '\\s+', ' ', 'g'), 80)
           FROM ({pids}) b LEFT JOIN pg_stat_activity a ON a.pid = b.pid
          ORDER BY b.pid"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(pid);
    let rows = query.fetch_all(watcher).await.map_err(wrap)?;
    rows.iter()
        .map(|row| {
            Ok(Blocker {
                pid: get(row, 0)?,
                user: get(row, 1)?,
                application: get(row, 2)?,
                state: get(row, 3)?,
                open_for: Duration::try_from_secs_f64(get(row, 4)?).unwrap_or_default(),
                query: get(row, 5)?,
            })
        })
        .collect()
}

/// How far a server process is with an index that it builds.
pub(super) async fn doing(
    watcher: &mut PgConnection,
    pid: i32,
) -> Result<Option<Doing>, SessionError> {
    let row = sqlx::query(
        "SELECT phase, CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END,
                CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END
           FROM pg_stat_progress_create_index WHERE pid = $1",
    )
    .bind(pid)
    .fetch_optional(watcher)
    .await
    .map_err(wrap)?;
    row.map(|row| {
        let count = |at| get::<Option<i64>>(&row, at).map(|n| n.unwrap_or_default().unsigned_abs());
        let (what, blockers) = (get(&row, 0)?, Vec::new());
        Ok(Doing { what, done: count(1)?, total: count(2)?, blockers })
    })
    .transpose()
}

/// The zdmig that holds the run lock, and who is in the way of its statement.
pub(super) async fn at_work(conn: &mut PgConnection) -> Result<Option<AtWork>, SessionError> {
    if !exists(conn, "zdmig.lease").await? {
        return Ok(None);
    }
    let row = sqlx::query(
        "SELECT owner, since FROM zdmig.lease WHERE EXISTS (
             SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
              WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted
                AND l.objsubid = 1 AND (l.classid::bigint << 32) + l.objid::bigint = $1)
          ORDER BY since DESC LIMIT 1",
    )
    .bind(RUN_LOCK)
    .fetch_optional(&mut *conn)
    .await
    .map_err(wrap)?;
    let Some(row) = row else { return Ok(None) };
    let mut work = AtWork { owner: get(&row, 0)?, since: get(&row, 1)?, blockers: Vec::new() };
    let waiting = sqlx::query(
        "SELECT pid FROM pg_stat_activity
          WHERE application_name = 'zdmig' AND datname = current_database()
            AND cardinality(pg_blocking_pids(pid)) > 0 LIMIT 1",
    );
    if let Some(row) = waiting.fetch_optional(&mut *conn).await.map_err(wrap)? {
        work.blockers = blockers(conn, get(&row, 0)?).await?;
    }
    Ok(Some(work))
}

/// How the database bears what connections of this name do, and how large these tables are.
pub(super) async fn strain(
    conn: &mut PgConnection,
    name: &str,
    tables: &[TableName],
) -> Result<Strain, SessionError> {
    let tables: Vec<String> = tables.iter().map(quote::table).collect();
    // A statement that waits has, but for moments, waited since it began.
    let row = sqlx::query(
        "SELECT coalesce((SELECT max(extract(epoch FROM clock_timestamp() - a.query_start))
                            FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
                           WHERE NOT l.granted AND a.application_name = $1), 0)::float8,
                (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint,
                (SELECT coalesce(sum(pg_catalog.pg_total_relation_size(pg_catalog.to_regclass(t))), 0)
                   FROM pg_catalog.unnest($2::text[]) t)::bigint",
    )
    .bind(name)
    .bind(tables)
    .fetch_one(conn)
    .await
    .map_err(wrap)?;
    Ok(Strain {
        waits: Duration::try_from_secs_f64(get(&row, 0)?).unwrap_or_default(),
        log: u64::try_from(get::<i64>(&row, 1)?).unwrap_or_default(),
        bytes: u64::try_from(get::<i64>(&row, 2)?).unwrap_or_default(),
    })
}
