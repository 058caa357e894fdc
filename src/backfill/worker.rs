//! One worker of a fill: takes parts of the table and fills them, chunk by chunk, as it is let.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::pace::{Pace, Sizer};
use super::runner::{ChunkEvent, FillError};
use crate::dialect::{Blocker, ChunkDone, Filled, Filler, Look, SessionError, Taken};

/// How long a worker waits for another one's part before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long it rests at most: what it is at stays its own for longer than that.
const REST_MAX: Duration = Duration::from_secs(10);
/// So many chunks in a row may be ended from outside before it is taken for an error.
const CUT_SHORT_MAX: u32 = 50;

/// What a worker tells.
pub(super) enum Said {
    /// A chunk of its own is done.
    Done(ChunkDone),
    /// Anything else, as it is told on.
    Event(ChunkEvent),
    /// What was seen of the database. Only the one that watches says it.
    Looked(Result<Look, SessionError>),
}

/// How fast all workers may go at the moment.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    pub(super) pace: Pace,
    /// The share of the duty that may be used; 0 holds.
    pub(super) ease: f64,
    pub(super) paused: bool,
    /// How often somebody has looked.
    pub(super) looks: u64,
}

impl Drive {
    fn held(&self) -> bool {
        self.paused || self.ease <= 0.0
    }
}

/// How a worker ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The table is done; the rows that all workers changed.
    Complete(Filled),
    /// It was told to go.
    Dismissed,
}

/// When a worker stops.
#[derive(Clone)]
pub(super) struct Until {
    /// All are to stop.
    pub(super) stop: CancellationToken,
    /// This one is not needed any more.
    pub(super) dismissed: CancellationToken,
    pub(super) deadline: Option<tokio::time::Instant>,
}

impl Until {
    fn check(&self) -> Result<(), FillError> {
        if self.stop.is_cancelled() {
            return Err(FillError::Interrupted);
        }
        match self.deadline {
            Some(at) if tokio::time::Instant::now() >= at => Err(FillError::TimeUp),
            _ => Ok(()),
        }
    }

    /// Ends when it is time to stop.
    async fn reached(&self) {
        let time = async {
            match self.deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.dismissed.cancelled() => {}
            () = time => {}
        }
    }
}

pub(super) struct Worker {
    filler: Box<dyn Filler>,
    drive: watch::Receiver<Drive>,
    until: Until,
    step_aside: bool,
    sizer: Sizer,
    wait: Wait,
    told: mpsc::Sender<Said>,
}

impl Worker {
    pub(super) fn new(
        filler: Box<dyn Filler>,
        drive: watch::Receiver<Drive>,
        until: Until,
        (step_aside, lock_wait_max): (bool, Duration),
        told: mpsc::Sender<Said>,
    ) -> Self {
        let (sizer, wait) = (Sizer::default(), Wait::new(lock_wait_max));
        Self { filler, drive, until, step_aside, sizer, wait, told }
    }

    /// Works until the table is done.
    pub(super) async fn run(mut self) -> Result<Ended, FillError> {
        let ended = self.work().await;
        match &ended {
            Ok(Ended::Complete(_)) => {}
            // The others can do without this one.
            Err(FillError::Session(error)) if error.is_lost() => {}
            Ok(Ended::Dismissed) => self.leave().await,
            Err(_) => {
                self.until.stop.cancel();
                self.leave().await;
            }
        }
        ended
    }

    async fn leave(&mut self) {
        // Where that fails the lease runs out.
        let _ = self.filler.leave().await;
    }

    async fn work(&mut self) -> Result<Ended, FillError> {
        loop {
            self.until.check()?;
            if self.until.dismissed.is_cancelled() {
                return Ok(Ended::Dismissed);
            }
            if self.drive.borrow().held() {
                self.held().await;
                continue;
            }
            match self.filler.take().await {
                Ok(Taken::Complete(filled)) => return Ok(Ended::Complete(filled)),
                Ok(Taken::Again) => {}
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
                // It was meant for the chunk before, which had ended by then.
                Err(error) if error.is_cancelled() => self.rest(LOOK_AGAIN).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fills a part to its end, or until it is another's, or until there is something to ask.
    async fn part(&mut self) -> Result<(), FillError> {
        let mut cut_short = 0;
        loop {
            self.until.check()?;
            if self.until.dismissed.is_cancelled() {
                return Ok(());
            }
            let drive = self.drive.borrow().clone();
            if drive.held() {
                return Ok(());
            }
            let begun = Instant::now();
            let done = match self.filler.chunk(self.sizer.rows()).await {
                Ok(done) => done,
                Err(SessionError::LockTimeout { waited, blockers }) => {
                    self.sizer.met();
                    self.locked(waited, blockers).await?;
                    continue;
                }
                // Somebody waited for it.
                Err(error) if error.is_cancelled() && cut_short < CUT_SHORT_MAX => {
                    cut_short += 1;
                    self.sizer.met();
                    continue;
                }
                Err(SessionError::Fenced) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let whole = begun.elapsed();
            tracing::trace!(asked = self.sizer.rows(), changed = done.rows, ?whole, "chunk");
            if done.rows > 0 {
                self.wait.over();
            }
            cut_short = 0;
            self.tell(Said::Done(done)).await;
            // A row that is proved is a row that is done; a chunk that only looked says nothing, but
            // one that found pages without rows does.
            if !done.took.is_zero() {
                self.sizer.took(done.rows.max(done.seen), done.took, &drive.pace);
            }
            if done.ended {
                return Ok(());
            }
            if done.paused {
                self.leave().await;
                self.looked().await;
                return Ok(());
            }
            let mut rest = drive.pace.rest(whole, drive.ease).min(REST_MAX);
            if self.step_aside {
                rest = rest.max(whole).max(Duration::from_millis(1));
            }
            self.rest(rest).await;
        }
    }

    /// Waits, with nothing in hand, until it may go on.
    async fn held(&mut self) {
        self.leave().await;
        let until = self.until.clone();
        tokio::select! {
            // The other end is gone only where all is over.
            _ = self.drive.wait_for(|drive| !drive.held()) => {}
            () = until.reached() => {}
        }
    }

    /// Waits for a look that began after now, or for word to pause.
    async fn looked(&mut self) {
        let until = self.until.clone();
        let looks = self.drive.borrow().looks;
        tokio::select! {
            _ = self.drive.wait_for(|drive| drive.paused || drive.looks >= looks + 2) => {}
            () = until.reached() => {}
        }
    }

    async fn tell(&mut self, said: Said) {
        // Nobody listens any more where the fill was dropped, and this worker with it.
        let _ = self.told.send(said).await;
    }

    async fn rest(&mut self, time: Duration) {
        if !time.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.until.reached() => {}
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
