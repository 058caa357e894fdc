//! Watches the disk while a fill runs, and what people ask of it.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::catalog::get;
use super::session::{connect, exists, wrap};
use crate::dialect::{
    DatabaseUrl, FillState, Look, Monitor, Report, SessionError, Steer, Steering, disk,
};
use crate::plan::StepId;

/// Who has said nothing for so long is taken to be gone.
const SILENT: &str = "-15 seconds";

/// A connection that watches; it connects again when it is lost.
pub(super) struct SqliteMonitor {
    url: DatabaseUrl,
    busy: Duration,
    step: StepId,
    owner: String,
    conn: Option<(SqliteConnection, PathBuf)>,
    /// What is to be said of the file.
    remarks: Vec<String>,
}

impl SqliteMonitor {
    pub(super) fn new(url: &DatabaseUrl, busy: Duration, step: &StepId, owner: &str) -> Self {
        Self {
            url: url.clone(),
            busy,
            step: step.clone(),
            owner: owner.to_owned(),
            conn: None,
            remarks: Vec::new(),
        }
    }
}

#[async_trait]
impl Monitor for SqliteMonitor {
    async fn look(&mut self) -> Result<Look, SessionError> {
        let (mut conn, path) = match self.conn.take() {
            Some(open) => open,
            None => {
                let (mut conn, path) = connect(&self.url, self.busy).await?;
                self.remarks = waiting_readers(&mut conn).await?.into_iter().collect();
                (conn, path)
            }
        };
        let steering = steering(&mut conn, self.step.migration_prefix()).await?;
        let readings = disk::free(&path).into_iter().collect();
        self.conn = Some((conn, path));
        Ok(Look { readings, remarks: self.remarks.clone(), steering })
    }

    async fn report(&mut self, report: &Report) -> Result<(), SessionError> {
        let Some((conn, _)) = &mut self.conn else { return Ok(()) };
        sqlx::query(
            "INSERT OR REPLACE INTO zdmig_runner (step, owner, workers, pace, rate, held_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(self.step.as_str())
        .bind(&self.owner)
        .bind(report.workers)
        .bind(&report.pace)
        .bind(report.rate)
        .bind(&report.held_by)
        .execute(conn)
        .await
        .map_err(wrap)?;
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), SessionError> {
        let Some((conn, _)) = &mut self.conn else { return Ok(()) };
        sqlx::query("DELETE FROM zdmig_runner WHERE step = ?1 AND owner = ?2")
            .bind(self.step.as_str())
            .bind(&self.owner)
            .execute(conn)
            .await
            .map_err(wrap)?;
        Ok(())
    }
}

/// Says so where readers and chunks wait for each other.
async fn waiting_readers(conn: &mut SqliteConnection) -> Result<Option<String>, SessionError> {
    let row = sqlx::query("PRAGMA journal_mode").fetch_one(conn).await.map_err(wrap)?;
    let mode: String = get(&row, 0)?;
    Ok((mode != "wal").then(|| {
        format!(
            "the file is in journal mode `{mode}`, in which readers wait for each chunk that \
             commits, and chunks for readers; after `PRAGMA journal_mode = WAL` nobody does"
        )
    }))
}

/// What people ask of a migration's fills.
pub(super) async fn steering(
    conn: &mut SqliteConnection,
    prefix: &str,
) -> Result<Steering, SessionError> {
    if !exists(conn, "zdmig_steering").await? {
        return Ok(Steering::default());
    }
    let row = sqlx::query("SELECT paused_by, pace, workers FROM zdmig_steering WHERE prefix = ?1")
        .bind(prefix)
        .fetch_optional(conn)
        .await
        .map_err(wrap)?;
    let Some(row) = row else { return Ok(Steering::default()) };
    Ok(Steering { paused_by: get(&row, 0)?, pace: get(&row, 1)?, workers: get(&row, 2)? })
}

/// Asks something of a migration's fills.
pub(super) async fn steer(
    conn: &mut SqliteConnection,
    prefix: &str,
    change: &Steer,
) -> Result<(), SessionError> {
    sqlx::query(
        "INSERT INTO zdmig_steering AS s (prefix, paused_by, pace, workers) VALUES (?1, ?3, ?4, ?5)
         ON CONFLICT (prefix) DO UPDATE SET
            paused_by = CASE WHEN ?2 THEN excluded.paused_by ELSE s.paused_by END,
            pace = coalesce(excluded.pace, s.pace),
            workers = coalesce(excluded.workers, s.workers)",
    )
    .bind(prefix)
    .bind(change.paused_by.is_some())
    .bind(change.paused_by.clone().flatten())
    .bind(&change.pace)
    .bind(change.workers)
    .execute(conn)
    .await
    .map_err(wrap)?;
    Ok(())
}

/// Every fill that is not done.
pub(super) async fn fills(conn: &mut SqliteConnection) -> Result<Vec<FillState>, SessionError> {
    if !exists(conn, "zdmig_runner").await? {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT w.step, r.owner, r.workers, r.pace, r.rate, r.held_by FROM zdmig_watermark w
           LEFT JOIN zdmig_runner r ON r.step = w.step AND r.at > datetime('now', ?1)
          WHERE NOT w.complete ORDER BY w.step, r.owner",
    )
    .bind(SILENT)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    // One writer at a time means one process at a time.
    let state = |row: &SqliteRow| {
        let owner: Option<String> = get(row, 1)?;
        let runner = |owner| {
            let report = Report {
                workers: get(row, 2)?,
                pace: get(row, 3)?,
                rate: get(row, 4)?,
                held_by: get(row, 5)?,
            };
            Ok::<_, SessionError>((owner, report))
        };
        Ok(FillState {
            step: StepId::stored(get::<String>(row, 0)?),
            share: None,
            runners: owner.map(runner).transpose()?.into_iter().collect(),
        })
    };
    rows.iter().map(state).collect()
}
