//! Rows that fail: a chunk that holds one is done row by row, and what fails is written down and
//! left out.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::catalog::get;
use super::fill::{chunk_keys, row_update};
use super::session::{unreadable, wrap};
use crate::dialect::{FailedRow, FillOrder, SessionError};
use crate::plan::StepId;

/// So many rows are tried one by one while others wait for the writer's lock.
pub(super) const AT_ONCE: u32 = 50;

/// Whether a row is to blame: a rule that it breaks or a trigger that refuses it (19), a type (20), or
/// an expression that fails (1).
pub(super) fn is_of_a_row(error: &SessionError) -> bool {
    let SessionError::Failed { code: Some(code), .. } = error else { return false };
    code.parse::<i64>().is_ok_and(|code| [1, 19, 20].contains(&(code & 0xff)))
}

/// The keys of a chunk.
pub(super) async fn keys(
    conn: &mut SqliteConnection,
    order: &FillOrder,
    from: &[String],
    upto: &[String],
) -> Result<Vec<Vec<String>>, SessionError> {
    let fill = &order.fill;
    let sql = chunk_keys(fill, from.is_empty(), upto.is_empty());
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in from.iter().chain(upto) {
        query = query.bind(value);
    }
    let rows = query.fetch_all(conn).await.map_err(wrap)?;
    rows.iter().map(|row| (0..row.len()).map(|at| get(row, at)).collect()).collect()
}

/// Fills rows one by one, in the transaction at hand: how many were filled, and how many failed.
pub(super) async fn row_by_row(
    conn: &mut SqliteConnection,
    order: &FillOrder,
    keys: &[Vec<String>],
) -> Result<(u64, u64), SessionError> {
    let (mut filled, mut failed) = (0, 0);
    for key in keys {
        sqlx::query("SAVEPOINT zdmig_row").execute(&mut *conn).await.map_err(wrap)?;
        let mut query = sqlx::query(AssertSqlSafe(row_update(&order.fill)));
        for value in key {
            query = query.bind(value);
        }
        match query.execute(&mut *conn).await.map_err(wrap) {
            Ok(done) => filled += done.rows_affected(),
            Err(error) if is_of_a_row(&error) => {
                failed += 1;
                let back = "ROLLBACK TO zdmig_row";
                sqlx::query(back).execute(&mut *conn).await.map_err(wrap)?;
                sqlx::query(
                    "INSERT OR REPLACE INTO zdmig_failed (step, key, reason) VALUES (?1, ?2, ?3)",
                )
                .bind(order.step.as_str())
                .bind(serde_json::to_string(key).map_err(unreadable)?)
                .bind(error.to_string())
                .execute(&mut *conn)
                .await
                .map_err(wrap)?;
            }
            Err(error) => return Err(error),
        }
        sqlx::query("RELEASE zdmig_row").execute(&mut *conn).await.map_err(wrap)?;
    }
    Ok((filled, failed))
}

/// Tries rows again that failed, some at a time; how many were tried.
pub(super) async fn try_again(
    conn: &mut SqliteConnection,
    order: &FillOrder,
) -> Result<usize, SessionError> {
    let rows = sqlx::query(
        "DELETE FROM zdmig_failed WHERE step = ?1 AND key IN (
             SELECT key FROM zdmig_failed WHERE step = ?1 AND again LIMIT ?2) RETURNING key",
    )
    .bind(order.step.as_str())
    .bind(AT_ONCE)
    .fetch_all(&mut *conn)
    .await
    .map_err(wrap)?;
    let mut keys = Vec::new();
    for row in &rows {
        keys.push(serde_json::from_str(&get::<String>(row, 0)?).map_err(unreadable)?);
    }
    let (filled, _) = row_by_row(&mut *conn, order, &keys).await?;
    sqlx::query("UPDATE zdmig_watermark SET rows = rows + ?2 WHERE step = ?1")
        .bind(order.step.as_str())
        .bind(i64::try_from(filled).unwrap_or(i64::MAX))
        .execute(conn)
        .await
        .map_err(wrap)?;
    Ok(keys.len())
}

/// Marks every row that failed to be tried again.
pub(super) async fn mark(conn: &mut SqliteConnection, step: &StepId) -> Result<(), SessionError> {
    sqlx::query("UPDATE zdmig_failed SET again = 1 WHERE step = ?1")
        .bind(step.as_str())
        .execute(conn)
        .await
        .map_err(wrap)?;
    Ok(())
}

/// Some of the rows that failed, in the order of their keys.
pub(super) async fn failed(
    conn: &mut SqliteConnection,
    step: &StepId,
    most: u32,
) -> Result<Vec<FailedRow>, SessionError> {
    let rows =
        sqlx::query("SELECT key, reason FROM zdmig_failed WHERE step = ?1 ORDER BY key LIMIT ?2")
            .bind(step.as_str())
            .bind(most)
            .fetch_all(conn)
            .await
            .map_err(wrap)?;
    let row = |row| {
        let key = serde_json::from_str(&get::<String>(row, 0)?).map_err(unreadable)?;
        Ok(FailedRow { relation: String::new(), key, reason: get(row, 1)? })
    };
    rows.iter().map(row).collect()
}
