use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::pace::{Pace, ROWS_FIRST, ROWS_MIN, next_size};
use crate::dialect::{Blocker, ChunkDone, FillOrder, Filler, Session, SessionError, Taken};

/// How long a worker waits for another one's part before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A fill to be run, or to be gone on with.
#[derive(Debug)]
pub struct FillJob<'a> {
    /// What is filled, by which step.
    pub order: FillOrder,
    /// Whether it begins anew, whatever was done before.
    pub anew: bool,
    /// What it may cost.
    pub pace: Pace,
    /// How many workers fill at the same time.
    pub workers: usize,
    /// Whether other writers need a turn between two chunks.
    pub step_aside: bool,
    /// How long to go on trying where a row is locked.
    pub lock_wait_max: Duration,
    /// Asked between chunks.
    pub cancel: &'a CancellationToken,
}

/// What happens during a fill.
#[derive(Debug)]
pub enum ChunkEvent {
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
        blockers: Vec<Blocker>,
        /// For how long already.
        waited: Duration,
    },
    /// Something made it walk in another way than the plan says.
    Turned {
        /// What.
        why: String,
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
    notice: &mut (dyn FnMut(ChunkEvent) + Send),
) -> Result<u64, FillError> {
    let start = session.begin_fill(&job.order, job.anew).await?;
    if start.complete {
        return Ok(start.rows);
    }
    let stop = job.cancel.child_token();
    let (told, mut heard) = mpsc::channel(64);
    let mut workers = JoinSet::new();
    for _ in 0..job.workers.max(1) {
        let worker = Worker {
            filler: session.filler(&job.order).await?,
            pace: job.pace,
            step_aside: job.step_aside,
            size: ROWS_FIRST,
            wait: Wait::new(job.lock_wait_max),
            stop: stop.clone(),
            told: told.clone(),
        };
        workers.spawn(worker.run());
    }
    drop(told);
    let (mut rows, mut walked) = (start.rows, start.rows);
    let mut turned = None;
    while let Some(said) = heard.recv().await {
        let event = match said {
            Said::Done(done) => {
                rows += done.rows;
                walked += done.walked;
                ChunkEvent::Done { rows, walked }
            }
            Said::Event(event) => event,
        };
        if let ChunkEvent::Turned { why } = &event {
            // Every worker may find it out, at every window.
            if turned.as_ref() == Some(why) {
                continue;
            }
            turned = Some(why.clone());
        }
        notice(event);
    }
    let mut ended = Err(FillError::Interrupted);
    while let Some(worker) = workers.join_next().await {
        let one = worker.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        // What one worker could not do another may have done.
        if one.is_ok() || matches!(ended, Err(FillError::Interrupted)) {
            ended = one;
        }
    }
    ended
}

/// What a worker tells.
enum Said {
    /// A chunk of its own is done.
    Done(ChunkDone),
    /// Anything else, as it is told on.
    Event(ChunkEvent),
}

struct Worker {
    filler: Box<dyn Filler>,
    pace: Pace,
    step_aside: bool,
    size: u32,
    wait: Wait,
    stop: CancellationToken,
    told: mpsc::Sender<Said>,
}

impl Worker {
    /// Works until the table is done; the rows that all workers changed.
    async fn run(mut self) -> Result<u64, FillError> {
        let ended = self.work().await;
        let lost = |error: &SessionError| {
            matches!(error, SessionError::Lost { .. } | SessionError::Unreachable { .. })
        };
        match &ended {
            // The others can do without this one.
            Ok(_) => {}
            Err(FillError::Session(error)) if lost(error) => {}
            Err(_) => {
                self.stop.cancel();
                // Where that fails the lease runs out.
                let _ = self.filler.leave().await;
            }
        }
        ended
    }

    async fn work(&mut self) -> Result<u64, FillError> {
        loop {
            self.go_on()?;
            match self.filler.take().await {
                Ok(Taken::Complete { rows }) => return Ok(rows),
                Ok(Taken::Part(why)) => {
                    if let Some(why) = why {
                        self.tell(Said::Event(ChunkEvent::Turned { why })).await;
                    }
                    self.part().await?;
                }
                Ok(Taken::Wait { locked: false }) => self.rest(LOOK_AGAIN).await,
                Ok(Taken::Wait { locked: true }) => {
                    self.locked(Duration::ZERO, Vec::new()).await?;
                }
                Err(SessionError::LockTimeout { waited, blockers }) => {
                    self.locked(waited, blockers).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fills a part to its end, or until it is another's.
    async fn part(&mut self) -> Result<(), FillError> {
        loop {
            self.go_on()?;
            let begun = Instant::now();
            let done = match self.filler.chunk(self.size).await {
                Ok(done) => done,
                Err(SessionError::LockTimeout { waited, blockers }) => {
                    // A smaller chunk meets fewer locked rows.
                    self.size = (self.size / 2).max(ROWS_MIN);
                    self.locked(waited, blockers).await?;
                    continue;
                }
                Err(SessionError::Fenced) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let whole = begun.elapsed();
            tracing::trace!(asked = self.size, changed = done.rows, ?whole, "chunk");
            if done.rows > 0 {
                self.wait.over();
            }
            self.tell(Said::Done(done)).await;
            self.size = next_size(self.size, done.took, &self.pace);
            if done.ended {
                return Ok(());
            }
            let mut rest = self.pace.rest(whole);
            if self.step_aside {
                rest = rest.max(whole).max(Duration::from_millis(1));
            }
            self.rest(rest).await;
        }
    }

    fn go_on(&self) -> Result<(), FillError> {
        if self.stop.is_cancelled() { Err(FillError::Interrupted) } else { Ok(()) }
    }

    async fn tell(&mut self, said: Said) {
        // Nobody listens any more where the fill was dropped, and this worker with it.
        let _ = self.told.send(said).await;
    }

    async fn rest(&mut self, time: Duration) {
        if !time.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Waits for rows that somebody holds, until the budget is spent.
    async fn locked(&mut self, waited: Duration, blockers: Vec<Blocker>) -> Result<(), FillError> {
        let so_far = self.wait.so_far();
        let event = ChunkEvent::Waiting { blockers: blockers.clone(), waited: so_far };
        self.tell(Said::Event(event)).await;
        match self.wait.next() {
            Some(pause) => {
                self.rest(pause).await;
                Ok(())
            }
            None => Err(SessionError::LockTimeout { waited: waited.max(so_far), blockers }.into()),
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

    /// The row was let go of.
    fn over(&mut self) {
        if self.since.is_some() {
            *self = Self::new(self.budget);
        }
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
