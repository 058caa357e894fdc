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
    let whole = if beside.is_some() {
        "SELECT pg_try_advisory_lock_shared($1)"
    } else {
        "SELECT pg_try_advisory_lock($1)"
    };
    let row = sqlx::query(whole).bind(RUN_LOCK).fetch_one(&mut *lock).await.map_err(wrap)?;
    if !get::<bool>(&row, 0)? {
        // Who works in one schema is kept out by who works in all; the other way round it is the
        // last that began.
        return Err(busy(lock, beside.map(|_| "")).await?);
    }
    if let Some(schema) = beside {
        let own = "SELECT pg_try_advisory_lock(($1 >> 16)::int, hashtext($2))";
        let own = sqlx::query(own).bind(RUN_LOCK).bind(schema);
        let row = own.fetch_one(&mut *lock).await.map_err(wrap)?;
        if !get::<bool>(&row, 0)? {
            return Err(busy(lock, Some(schema)).await?);
        }
    }
    // Whoever had it before and lost it without knowing finds another token: in all schemas those who
    // worked in one, and from each schema who worked in all.
    let others = "UPDATE zdmig.lease SET token = token + 1 WHERE (scope = '') = $1";
    let others = sqlx::query(others).bind(beside.is_some());
    others.execute(&mut *lock).await.map_err(wrap)?;
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

/// Who has it, as it wrote itself down: in one scope, or in any.
async fn busy(lock: &mut PgConnection, scope: Option<&str>) -> Result<SessionError, SessionError> {
    let row = sqlx::query(
        "SELECT owner || ', since ' || since::timestamptz(0) FROM zdmig.lease
          WHERE owner <> '' AND ($1::text IS NULL OR scope = $1) ORDER BY since DESC LIMIT 1",
    )
    .bind(scope)
    .fetch_optional(lock)
    .await
    .map_err(wrap)?;
    let holder = row.and_then(|row| row.try_get(0).ok()).unwrap_or_default();
    Ok(SessionError::Busy { holder })
}
