//! The worker of a fill. One writer at a time is all there is, so there is one worker.

use std::time::Instant;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::bookkeeping::FILLS;
use super::catalog::get;
use super::fill::{chunk_end, chunk_proved, chunk_update};
use super::monitor::steering;
use super::session::{at_work, unreadable, wrap};
use super::singly::{AT_ONCE, is_of_a_row, keys, row_by_row, try_again};
use crate::dialect::{ChunkDone, FillOrder, Filled, Filler, SessionError, Taken};
use crate::journal::Watermark;

/// The worker of a fill, on a connection of its own.
pub(super) struct SqliteFiller {
    conn: SqliteConnection,
    /// Of the run that it belongs to.
    token: i64,
    order: FillOrder,
    /// The last key that is done.
    upto: Vec<String>,
}

/// Takes a fill up, on the session of the runner.
pub(super) async fn begin(
    conn: &mut SqliteConnection,
    order: &FillOrder,
    anew: bool,
) -> Result<Watermark, SessionError> {
    if anew {
        for table in ["zdmig_watermark", "zdmig_seen"] {
            let delete = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE step = ?1")));
            delete.bind(order.step.as_str()).execute(&mut *conn).await.map_err(wrap)?;
        }
    }
    sqlx::query(
        "INSERT OR IGNORE INTO zdmig_watermark (step, upto, rows, complete) VALUES (?1, '[]', 0, 0)",
    )
    .bind(order.step.as_str())
    .execute(&mut *conn)
    .await
    .map_err(wrap)?;
    let row = sqlx::query(AssertSqlSafe(format!("{FILLS} WHERE w.step = ?1")))
        .bind(order.step.as_str())
        .fetch_one(&mut *conn)
        .await
        .map_err(wrap)?;
    watermark(&row)
}

/// What a row of [`FILLS`] says.
pub(super) fn watermark(row: &SqliteRow) -> Result<Watermark, SessionError> {
    Ok(Watermark {
        rows: get::<i64>(row, 1)?.unsigned_abs(),
        complete: get(row, 2)?,
        failed: get::<i64>(row, 3)?.unsigned_abs(),
        seen: get::<i64>(row, 4)?.unsigned_abs(),
    })
}

impl SqliteFiller {
    pub(super) fn new(conn: SqliteConnection, token: i64, order: &FillOrder) -> Self {
        Self { conn, token, order: order.clone(), upto: Vec::new() }
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), SessionError> {
        sqlx::raw_sql(sql).execute(&mut self.conn).await.map_err(wrap)?;
        Ok(())
    }

    async fn fill(
        &mut self,
        rows_max: u32,
        singly: bool,
    ) -> Result<(Vec<String>, ChunkDone), SessionError> {
        at_work(&mut self.conn, self.token).await?;
        let fill = &self.order.fill;
        let first = self.upto.is_empty();
        let mut query = sqlx::query(AssertSqlSafe(chunk_end(fill, first)));
        for value in &self.upto {
            query = query.bind(value);
        }
        let end = query
            .bind(i64::from(rows_max) - 1)
            .fetch_optional(&mut self.conn)
            .await
            .map_err(wrap)?;
        let mut upto = Vec::new();
        if let Some(row) = &end {
            for at in 0..fill.key.len() {
                upto.push(get::<String>(row, at)?);
            }
        }
        let ended = end.is_none();
        let begun = Instant::now();
        let (mut seen, mut clean) = (0, false);
        if let Some(rule) = &self.order.prove {
            let mut query = sqlx::query(AssertSqlSafe(chunk_proved(fill, rule, first, ended)));
            for value in self.upto.iter().chain(&upto) {
                query = query.bind(value);
            }
            let row = query.fetch_one(&mut self.conn).await.map_err(wrap)?;
            (seen, clean) = (get::<i64>(&row, 0)?.unsigned_abs(), get::<i64>(&row, 1)? == 0);
        }
        let (rows, failed) = if clean {
            (0, 0)
        } else if singly {
            let keys = keys(&mut self.conn, &self.order, &self.upto, &upto).await?;
            row_by_row(&mut self.conn, &self.order, &keys).await?
        } else {
            let mut query = sqlx::query(AssertSqlSafe(chunk_update(fill, first, ended)));
            for value in self.upto.iter().chain(&upto) {
                query = query.bind(value);
            }
            (query.execute(&mut self.conn).await.map_err(wrap)?.rows_affected(), 0)
        };
        let took = begun.elapsed();
        if ended {
            upto.clone_from(&self.upto);
        }
        let changed = sqlx::query(
            "UPDATE zdmig_watermark SET upto = ?2, rows = rows + ?3, complete = ?4 WHERE step = ?1",
        )
        .bind(self.order.step.as_str())
        .bind(serde_json::to_string(&upto).map_err(unreadable)?)
        .bind(i64::try_from(rows).unwrap_or(i64::MAX))
        .bind(ended)
        .execute(&mut self.conn)
        .await
        .map_err(wrap)?;
        if changed.rows_affected() != 1 {
            return Err(SessionError::Fenced);
        }
        if self.order.prove.is_some() {
            sqlx::query(
                "INSERT INTO zdmig_seen (step, rows) VALUES (?1, ?2)
                 ON CONFLICT (step) DO UPDATE SET rows = rows + excluded.rows",
            )
            .bind(self.order.step.as_str())
            .bind(i64::try_from(seen).unwrap_or(i64::MAX))
            .execute(&mut self.conn)
            .await
            .map_err(wrap)?;
        }
        let asked = steering(&mut self.conn, self.order.step.migration_prefix()).await?;
        let (walked, paused) = (u64::from(rows_max), asked.paused_by.is_some());
        Ok((upto, ChunkDone { rows, walked, took, ended, paused, failed, seen }))
    }
}

impl SqliteFiller {
    async fn one(&mut self, rows_max: u32, singly: bool) -> Result<ChunkDone, SessionError> {
        self.run("BEGIN IMMEDIATE").await?;
        match self.fill(rows_max, singly).await {
            Ok((upto, done)) => {
                self.run("COMMIT").await?;
                self.upto = upto;
                Ok(done)
            }
            Err(error) => {
                // A connection that cannot roll back is lost, and the next call says so.
                let _ = self.run("ROLLBACK").await;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Filler for SqliteFiller {
    async fn take(&mut self) -> Result<Taken, SessionError> {
        let row = sqlx::query(
            "SELECT upto, rows, complete, (SELECT count(*) FROM zdmig_failed WHERE step = ?1),
                    coalesce((SELECT rows FROM zdmig_seen WHERE step = ?1), 0)
               FROM zdmig_watermark WHERE step = ?1",
        )
        .bind(self.order.step.as_str())
        .fetch_optional(&mut self.conn)
        .await
        .map_err(wrap)?;
        // It was taken back.
        let row = row.ok_or(SessionError::Fenced)?;
        self.upto = serde_json::from_str(&get::<String>(&row, 0)?).map_err(unreadable)?;
        let count = |at| Ok::<_, SessionError>(get::<i64>(&row, at)?.unsigned_abs());
        let filled = Filled { rows: count(1)?, failed: count(3)?, seen: count(4)? };
        if !get::<bool>(&row, 2)? {
            return Ok(Taken::Part(None));
        }
        self.run("BEGIN IMMEDIATE").await?;
        let tried = try_again(&mut self.conn, &self.order).await;
        self.run(if tried.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        Ok(if tried? > 0 { Taken::Again } else { Taken::Complete(filled) })
    }

    async fn chunk(&mut self, rows_max: u32) -> Result<ChunkDone, SessionError> {
        match self.one(rows_max, false).await {
            Err(error) if is_of_a_row(&error) => self.one(rows_max.min(AT_ONCE), true).await,
            done => done,
        }
    }

    async fn leave(&mut self) -> Result<(), SessionError> {
        // The watermark is all there is to leave.
        Ok(())
    }
}
