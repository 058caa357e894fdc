//! The lock that makes one zdmig the only one: in the whole database, or in one of its schemas.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::bookkeeping::RUN_LOCK;
use super::catalog::get;
use super::connect::wrap;
use crate::dialect::SessionError;

/// Tries once, on a connection that holds it from then on; the token of whoever has it. Those that
/// work in one of several schemas share the database's lock, and hold one of their own.
pub(super) async fn take(
    lock: &mut PgConnection,
    owner: &str,
    beside: Option<&str>,
) -> Result<i64, SessionError> {
    let scope = beside.unwrap_or_default();
    let taken = if beside.is_some() {
        sqlx::query(
            "SELECT CASE WHEN pg_try_advisory_lock_shared($1)
                         THEN pg_try_advisory_lock(($1 >> 16)::int, hashtext($2)) ELSE false END",
        )
        .bind(RUN_LOCK)
        .bind(scope)
    } else {
        sqlx::query("SELECT pg_try_advisory_lock($1)").bind(RUN_LOCK)
    };
    let row = taken.fetch_one(&mut *lock).await.map_err(wrap)?;
    if !get::<bool>(&row, 0)? {
        let row = sqlx::query(
            "SELECT owner || ', since ' || since::timestamptz(0) FROM zdmig.lease
              WHERE token > 0 ORDER BY scope = $1 DESC, since DESC LIMIT 1",
        )
        .bind(scope)
        .fetch_optional(&mut *lock)
        .await
        .map_err(wrap)?;
        let holder = row.and_then(|row| row.try_get(0).ok()).unwrap_or_default();
        return Err(SessionError::Busy { holder });
    }
    let row = sqlx::query(
        "INSERT INTO zdmig.lease (scope, token, owner) VALUES ($2, 1, $1)
         ON CONFLICT (scope) DO UPDATE SET token = lease.token + 1, owner = $1,
            since = clock_timestamp()
         RETURNING token",
    )
    .bind(owner)
    .bind(scope)
    .fetch_one(lock)
    .await
    .map_err(wrap)?;
    get(&row, 0)
}
