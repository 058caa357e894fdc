use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::pace::{Pace, ROWS_FIRST, ROWS_MIN, next_size};
use crate::dialect::{Blocker, ChunkOrder, Session, SessionError};
use crate::journal::Watermark;
use crate::plan::{FillRows, StepId};

/// A fill to be run, or to be gone on with.
#[derive(Debug)]
pub struct FillJob<'a> {
    /// The step it belongs to.
    pub step: &'a StepId,
    /// What is filled.
    pub fill: &'a FillRows,
    /// Where the run before left off.
    pub from: Option<&'a Watermark>,
    /// What it may cost.
    pub pace: Pace,
    /// Whether other writers need a turn between two chunks.
    pub step_aside: bool,
    /// How long to go on trying where a row is locked.
    pub lock_wait_max: Duration,
    /// Asked between chunks.
    pub cancel: &'a CancellationToken,
}

/// What happens during a fill.
#[derive(Debug)]
pub enum ChunkEvent<'a> {
    /// A chunk is done.
    Done {
        /// Rows changed by the whole fill so far.
        rows: u64,
        /// Rows walked over so far, as far as that is known of earlier runs.
        walked: u64,
    },
    /// A row was locked.
    Waiting {
        /// By whom, where that is known.
        blockers: &'a [Blocker],
        /// For how long already.
        waited: Duration,
    },
}

/// Why a fill stopped.
#[derive(Debug, Error)]
pub enum FillError {
    /// It was asked to, between two chunks.
    #[error("interrupted between two chunks")]
    Interrupted,
    /// The database.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Runs a fill to its end; the rows it changed, those of the runs before included.
///
/// # Errors
/// When it is interrupted, or the database fails: what is done is kept either way.
pub async fn fill(
    session: &mut dyn Session,
    job: &FillJob<'_>,
    notice: &mut (dyn FnMut(ChunkEvent<'_>) + Send),
) -> Result<u64, FillError> {
    let start =
        job.from.cloned().unwrap_or(Watermark { upto: Vec::new(), rows: 0, complete: false });
    let (mut after, mut rows) = (start.upto, start.rows);
    if start.complete {
        return Ok(rows);
    }
    let mut size = ROWS_FIRST;
    let mut walked = rows;
    let mut wait = Wait::new(job.lock_wait_max);
    loop {
        if job.cancel.is_cancelled() {
            return Err(FillError::Interrupted);
        }
        let begun = Instant::now();
        let order = ChunkOrder {
            step: job.step,
            fill: job.fill,
            after: &after,
            rows_max: size,
            rows_before: rows,
        };
        let done = match session.chunk(&order).await {
            Ok(done) => done,
            Err(SessionError::LockTimeout { waited, blockers }) => {
                notice(ChunkEvent::Waiting { blockers: &blockers, waited: wait.so_far() });
                // A smaller chunk meets fewer locked rows.
                size = (size / 2).max(ROWS_MIN);
                match wait.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(SessionError::LockTimeout { waited, blockers }.into()),
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let whole = begun.elapsed();
        tracing::trace!(step = %job.step, asked = size, changed = done.rows, ?whole, "chunk");
        wait = Wait::new(job.lock_wait_max);
        rows += done.rows;
        walked += u64::from(size);
        after = done.upto;
        notice(ChunkEvent::Done { rows, walked });
        if done.complete {
            return Ok(rows);
        }
        size = next_size(size, done.took, &job.pace);
        let mut rest = job.pace.rest(whole);
        if job.step_aside {
            rest = rest.max(whole).max(Duration::from_millis(1));
        }
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }
}

/// The pauses between tries for a locked row, with jitter, until the budget is spent.
struct Wait {
    pauses: backon::ExponentialBackoff,
    since: Option<Instant>,
    budget: Duration,
}

impl Wait {
    fn new(budget: Duration) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(Duration::from_secs(1))
            .without_max_times()
            .with_jitter()
            .build();
        Self { pauses, since: None, budget }
    }

    fn so_far(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn next(&mut self) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.budget {
            return None;
        }
        self.pauses.next()
    }
}
