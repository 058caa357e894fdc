//! What people ask of a fill, and what those who are at it say of themselves.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::{unprepared, wrap};
use super::filler::Leaf;
use super::session::{exists, unreadable};
use crate::dialect::{FillState, Report, SessionError, Steer, Steering};
use crate::plan::StepId;

/// Who has said nothing for so many seconds is taken to be gone.
const SILENT: f64 = 15.0;

/// What people ask of a migration's fills.
pub(super) async fn read(conn: &mut PgConnection, prefix: &str) -> Result<Steering, SessionError> {
    if !exists(conn, "zdmig.steering").await? {
        return Ok(Steering::default());
    }
    let row = unprepared("SELECT paused_by, pace, workers FROM zdmig.steering WHERE prefix = $1")
        .bind(prefix)
        .fetch_optional(conn)
        .await
        .map_err(wrap)?;
    let Some(row) = row else { return Ok(Steering::default()) };
    let workers: Option<i32> = get(&row, 2)?;
    Ok(Steering {
        paused_by: get(&row, 0)?,
        pace: get(&row, 1)?,
        workers: workers.and_then(|count| u32::try_from(count).ok()),
    })
}

/// Asks something of a migration's fills.
pub(super) async fn steer(
    conn: &mut PgConnection,
    prefix: &str,
    change: &Steer,
) -> Result<(), SessionError> {
    unprepared(
        "INSERT INTO zdmig.steering AS s (prefix, paused_by, pace, workers) VALUES ($1, $3, $4, $5)
         ON CONFLICT (prefix) DO UPDATE SET at = clock_timestamp(),
            paused_by = CASE WHEN $2 THEN excluded.paused_by ELSE s.paused_by END,
            pace = coalesce(excluded.pace, s.pace),
            workers = coalesce(excluded.workers, s.workers)",
    )
    .bind(prefix)
    .bind(change.paused_by.is_some())
    .bind(change.paused_by.clone().flatten())
    .bind(&change.pace)
    .bind(change.workers.and_then(|count| i32::try_from(count).ok()))
    .execute(conn)
    .await
    .map_err(wrap)?;
    Ok(())
}

/// Writes down what a process is at.
pub(super) async fn report(
    conn: &mut PgConnection,
    step: &StepId,
    owner: &str,
    report: &Report,
) -> Result<(), SessionError> {
    unprepared(
        "INSERT INTO zdmig.runner (step, owner, workers, pace, rate, held_by)
         SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS (SELECT FROM zdmig.fill WHERE step = $1)
         ON CONFLICT (step, owner) DO UPDATE SET workers = excluded.workers, pace = excluded.pace,
            rate = excluded.rate, held_by = excluded.held_by, at = clock_timestamp()",
    )
    .bind(step.as_str())
    .bind(owner)
    .bind(i32::try_from(report.workers).unwrap_or(i32::MAX))
    .bind(&report.pace)
    .bind(report.rate)
    .bind(&report.held_by)
    .execute(conn)
    .await
    .map_err(wrap)?;
    Ok(())
}

/// Takes that away.
pub(super) async fn leave(
    conn: &mut PgConnection,
    step: &StepId,
    owner: &str,
) -> Result<(), SessionError> {
    unprepared("DELETE FROM zdmig.runner WHERE step = $1 AND owner = $2")
        .bind(step.as_str())
        .bind(owner)
        .execute(conn)
        .await
        .map_err(wrap)?;
    Ok(())
}

/// Every fill that is not done.
pub(super) async fn fills(conn: &mut PgConnection) -> Result<Vec<FillState>, SessionError> {
    if !exists(conn, "zdmig.runner").await? {
        return Ok(Vec::new());
    }
    let mut runners = runners(conn).await?;
    let rows = unprepared(
        "SELECT f.step, f.leaves::text, f.leaf, f.page,
                (SELECT coalesce(sum((p.hi - p.lo) *
                            (1 - (p.pass + (p.page - p.lo) / greatest(p.hi - p.lo, 1)::float8)
                                 / greatest(p.passes, 1))), 0)
                   FROM zdmig.part p WHERE p.step = f.step)::float8
           FROM zdmig.fill f WHERE NOT f.complete ORDER BY f.step",
    )
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let mut found = Vec::new();
    for row in &rows {
        let step = get::<String>(row, 0)?;
        let leaves: Vec<Leaf> =
            serde_json::from_str(&get::<String>(row, 1)?).map_err(unreadable)?;
        let at = usize::try_from(get::<i32>(row, 2)?).unwrap_or_default();
        let walked = pages(leaves.iter().take(at)) + float(get(row, 3)?) - get::<f64>(row, 4)?;
        let all = pages(leaves.iter());
        found.push(FillState {
            share: (all > 0.0).then(|| (walked / all).clamp(0.0, 1.0)),
            runners: runners.remove(&step).unwrap_or_default(),
            step: StepId::stored(step),
        });
    }
    Ok(found)
}

async fn runners(
    conn: &mut PgConnection,
) -> Result<BTreeMap<String, Vec<(String, Report)>>, SessionError> {
    let rows = unprepared(
        "SELECT step, owner, workers, pace, rate, held_by FROM zdmig.runner
          WHERE at > clock_timestamp() - make_interval(secs => $1) ORDER BY step, owner",
    )
    .bind(SILENT)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for row in &rows {
        let report = Report {
            workers: u32::try_from(get::<i32>(row, 2)?).unwrap_or_default(),
            pace: get(row, 3)?,
            rate: get(row, 4)?,
            held_by: get(row, 5)?,
        };
        found.entry(get(row, 0)?).or_default().push((get(row, 1)?, report));
    }
    Ok(found)
}

fn pages<'a>(of: impl Iterator<Item = &'a Leaf>) -> f64 {
    of.map(|leaf| float(leaf.pages)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn float(value: i64) -> f64 {
    value as f64
}
