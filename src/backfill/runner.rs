//! Runs a fill: as many workers as are wanted, and one who watches the database meanwhile.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::brake::{Brake, Limits};
use super::pace::Pace;
use super::rate::Rate;
use super::worker::{Drive, Ended, Said, Until, Worker};
use crate::dialect::{
    Blocker, ChunkDone, FillOrder, Filled, Look, Monitor, MonitorOptions, Report, Session,
    SessionError, Steering,
};

/// The first look comes that soon: a fill that is shorter needs none.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// How long it is from one look to the next.
const EVERY: Duration = Duration::from_millis(200);
/// What we are at is written down so often.
const REPORTS: Duration = Duration::from_secs(1);
/// What holds a fill back is told again after that long, if it is the same.
const TOLD: Duration = Duration::from_secs(30);
/// The most workers of one process.
const WORKERS_MAX: usize = 32;

/// Where limits come from; they are asked for at every look, so that they can be changed
/// meanwhile.
#[derive(Clone)]
pub struct LimitsSource(Arc<dyn Fn() -> Result<Limits, String> + Send + Sync>);

impl LimitsSource {
    /// Limits that are looked up each time; an error is told, and those before stay.
    pub fn new(look: impl Fn() -> Result<Limits, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl fmt::Debug for LimitsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitsSource")
    }
}

impl Default for LimitsSource {
    fn default() -> Self {
        Self::new(|| Ok(Limits::default()))
    }
}

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
    /// What of the database holds it back.
    pub limits: &'a LimitsSource,
    /// Who we are.
    pub owner: &'a str,
    /// So many rows may fail and be left out; one more stops it.
    pub failed_max: u64,
    /// When to stop, done or not.
    pub deadline: Option<Instant>,
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
        /// The chunk itself.
        chunk: ChunkDone,
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
    /// Something holds it back, or does so no more.
    Eased {
        /// The share of its pace that it may use.
        ease: f64,
        /// By what.
        by: Option<String>,
    },
    /// Somebody has looked at the database: what the fill may do now.
    Looked {
        /// The share of its pace that it may use.
        ease: f64,
        /// What holds it back.
        by: Option<String>,
    },
    /// Something is not as it should be, and does not stop it.
    Noticed {
        /// What.
        what: String,
    },
}

/// Why a fill stopped.
#[derive(Debug, Error)]
pub enum FillError {
    /// It was asked to, between two chunks.
    #[error("interrupted between two chunks")]
    Interrupted,
    /// The time that it was given is over.
    #[error("the time is up")]
    TimeUp,
    /// The database.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Runs a fill to its end; what it did, the runs before included. Where more rows failed than may,
/// it stopped before its end.
///
/// # Errors
/// When it is interrupted, its time is up, or the database fails: what is done is kept.
pub async fn fill(
    session: &mut dyn Session,
    job: &FillJob<'_>,
    notice: &mut (dyn FnMut(ChunkEvent) + Send),
) -> Result<Filled, FillError> {
    let start = session.begin_fill(&job.order, job.anew).await?;
    // Somebody may have mended them since, whether it is said so or not.
    let again = start.failed > 0;
    if again {
        session.retry_failed(&job.order.step).await?;
    }
    if start.complete && !again {
        return Ok(Filled { rows: start.rows, failed: start.failed, seen: start.seen });
    }
    let failed = if again { 0 } else { start.failed };
    let so_far = Filled { rows: start.rows, failed, seen: start.seen };
    work(session, job, so_far, notice).await
}

/// Works on a fill that another process has begun, until it is done; what all did.
///
/// # Errors
/// As [`fill`].
pub async fn help(
    session: &mut dyn Session,
    job: &FillJob<'_>,
    notice: &mut (dyn FnMut(ChunkEvent) + Send),
) -> Result<Filled, FillError> {
    work(session, job, Filled::default(), notice).await
}

async fn work(
    session: &mut dyn Session,
    job: &FillJob<'_>,
    so_far: Filled,
    notice: &mut (dyn FnMut(ChunkEvent) + Send),
) -> Result<Filled, FillError> {
    let (drive, _) = watch::channel(Drive { pace: job.pace, ease: 1.0, paused: false, looks: 0 });
    let (told, mut heard) = mpsc::channel(64);
    let limits = (job.limits.0)().unwrap_or_default();
    let (reports, report) = watch::channel(Report::default());
    let options = MonitorOptions { owner: job.owner.to_owned(), disk_size: limits.disk_size };
    let stop = job.cancel.child_token();
    let watching = CancellationToken::new();
    let monitor = session.monitor(&job.order, &options);
    let watcher = tokio::spawn(watch_it(monitor, report, told.clone(), watching.clone()));
    let mut crew = Crew {
        job,
        drive,
        told,
        stop,
        hired: Vec::new(),
        tasks: JoinSet::new(),
        next: 0,
        outcome: None,
    };
    crew.staff(session, job.workers).await?;
    let mut lead = Lead::new(so_far, limits, reports);
    loop {
        tokio::select! {
            Some(said) = heard.recv() => {
                let looked = matches!(said, Said::Looked(Ok(_)));
                lead.hear(said, &crew, notice);
                if looked && let Err(error) = crew.staff(session, lead.workers(job)).await {
                    lead.tell(format!("no more workers: {error}"), notice);
                }
            }
            one = crew.tasks.join_next() => match one {
                Some(one) => crew.left(one),
                None => break,
            },
        }
    }
    watching.cancel();
    joined(watcher).await;
    // What was done last is told before the end is.
    while let Ok(said) = heard.try_recv() {
        if let Said::Done(_) = said {
            lead.hear(said, &crew, notice);
        }
    }
    match crew.outcome {
        // It was stopped by us, and not by anybody else.
        Some(Err(FillError::Interrupted)) if lead.failed > job.failed_max => {
            Ok(Filled { rows: lead.rows, failed: lead.failed, seen: 0 })
        }
        outcome => outcome.unwrap_or(Err(FillError::Interrupted)),
    }
}

async fn joined(task: JoinHandle<()>) {
    if let Err(error) = task.await
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic);
    }
}

/// Looks at the database until it is told to stop, and writes down what we are at.
async fn watch_it(
    mut monitor: Box<dyn Monitor>,
    mut report: watch::Receiver<Report>,
    told: mpsc::Sender<Said>,
    stop: CancellationToken,
) {
    let mut pause = FIRST_LOOK;
    let mut written: Option<Instant> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
        pause = EVERY;
        let looked = tokio::select! {
            looked = monitor.look() => looked,
            // A look that is cut leaves a connection that is of no use.
            () = stop.cancelled() => return,
        };
        let seen = looked.is_ok();
        // Where all is over nobody may be left to read it.
        tokio::select! {
            sent = told.send(Said::Looked(looked)) => if sent.is_err() { break },
            () = stop.cancelled() => break,
        }
        let due = written.is_none_or(|at| at.elapsed() >= REPORTS);
        if seen && due && report.has_changed().unwrap_or_default() {
            let now = report.borrow_and_update().clone();
            // Nobody depends on it.
            let _ = monitor.report(&now).await;
            written = Some(Instant::now());
        }
    }
    if written.is_some() {
        // Else it is forgotten by itself.
        let _ = monitor.leave().await;
    }
}

/// The workers of this process.
struct Crew<'a> {
    job: &'a FillJob<'a>,
    drive: watch::Sender<Drive>,
    told: mpsc::Sender<Said>,
    stop: CancellationToken,
    /// Those that are at work and not told to go.
    hired: Vec<(u64, CancellationToken)>,
    tasks: JoinSet<(u64, Result<Ended, FillError>)>,
    next: u64,
    /// What the fill has come to so far.
    outcome: Option<Result<Filled, FillError>>,
}

impl Crew<'_> {
    /// Makes the workers as many as are wanted.
    async fn staff(&mut self, session: &mut dyn Session, wanted: usize) -> Result<(), FillError> {
        while self.hired.len() > wanted {
            if let Some((_, one)) = self.hired.pop() {
                one.cancel();
            }
        }
        let over = |outcome: &Option<Result<Filled, FillError>>| {
            matches!(outcome, Some(Ok(_))) || self.stop.is_cancelled()
        };
        if over(&self.outcome) {
            return Ok(());
        }
        while self.hired.len() < wanted {
            let filler = session.filler(&self.job.order).await?;
            let dismissed = CancellationToken::new();
            let until = Until {
                stop: self.stop.clone(),
                dismissed: dismissed.clone(),
                deadline: self.job.deadline.map(tokio::time::Instant::from_std),
            };
            let waits = (self.job.step_aside, self.job.lock_wait_max);
            let worker =
                Worker::new(filler, self.drive.subscribe(), until, waits, self.told.clone());
            let no = self.next;
            self.next += 1;
            self.hired.push((no, dismissed));
            self.tasks.spawn(async move { (no, worker.run().await) });
        }
        Ok(())
    }

    /// A worker is gone.
    fn left(&mut self, one: Result<(u64, Result<Ended, FillError>), JoinError>) {
        let (no, ended) = one.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        self.hired.retain(|(hired, _)| *hired != no);
        let ended = match ended {
            Ok(Ended::Dismissed) => return,
            Ok(Ended::Complete(rows)) => Ok(rows),
            Err(error) => Err(error),
        };
        // What one worker could not do another may have done, and what stopped one is said rather
        // than that the others were told to.
        let weight = |one: &Result<Filled, FillError>| match one {
            Ok(_) => 4,
            Err(FillError::Session(SessionError::Lost { .. })) => 0,
            Err(FillError::Interrupted) => 1,
            Err(FillError::TimeUp) => 2,
            Err(FillError::Session(_)) => 3,
        };
        if self.outcome.as_ref().is_none_or(|before| weight(before) <= weight(&ended)) {
            self.outcome = Some(ended);
        }
    }
}

/// What is known of the fill, and what follows from it.
struct Lead {
    brake: Brake,
    limits: Limits,
    steering: Steering,
    rows: u64,
    walked: u64,
    failed: u64,
    /// Why it walks in another way, each as it was told.
    turned: Vec<String>,
    /// What held it back when that was told last.
    eased: Option<(Instant, Option<String>)>,
    noticed: Vec<String>,
    rate: Rate,
    reports: watch::Sender<Report>,
}

impl Lead {
    fn new(so_far: Filled, limits: Limits, reports: watch::Sender<Report>) -> Self {
        Self {
            brake: Brake::default(),
            limits,
            steering: Steering::default(),
            rows: so_far.rows,
            walked: so_far.rows.max(so_far.seen),
            failed: so_far.failed,
            turned: Vec::new(),
            eased: None,
            noticed: Vec::new(),
            rate: Rate::default(),
            reports,
        }
    }

    fn hear(&mut self, said: Said, crew: &Crew<'_>, notice: &mut (dyn FnMut(ChunkEvent) + Send)) {
        match said {
            Said::Done(done) => {
                self.rows += done.rows;
                self.walked += done.walked;
                self.failed += done.failed;
                if self.failed > crew.job.failed_max {
                    crew.stop.cancel();
                }
                let (rows, walked) = (self.rows, self.walked);
                notice(ChunkEvent::Done { rows, walked, chunk: done });
            }
            // Every worker may find it out, at every window.
            Said::Event(ChunkEvent::Turned { why }) => {
                if !self.turned.contains(&why) {
                    self.turned.push(why.clone());
                    notice(ChunkEvent::Turned { why });
                }
            }
            Said::Event(event) => notice(event),
            Said::Looked(look) => self.looked(look, crew, notice),
        }
    }

    /// Something is told once.
    fn tell(&mut self, what: String, notice: &mut (dyn FnMut(ChunkEvent) + Send)) {
        if !self.noticed.contains(&what) {
            self.noticed.push(what.clone());
            notice(ChunkEvent::Noticed { what });
        }
    }

    fn looked(
        &mut self,
        look: Result<Look, SessionError>,
        crew: &Crew<'_>,
        notice: &mut (dyn FnMut(ChunkEvent) + Send),
    ) {
        match (crew.job.limits.0)() {
            Ok(limits) => self.limits = limits,
            Err(error) => self.tell(error, notice),
        }
        match look {
            Ok(look) => {
                self.brake.take(&look.readings, &self.limits);
                self.steering = look.steering;
                for one in look.remarks {
                    self.tell(one, notice);
                }
            }
            Err(error) => self.brake.blind(&error.to_string()),
        }
        let pace = self.steering.pace.as_deref().and_then(Pace::named);
        let (pace, ease) = (pace.unwrap_or(crew.job.pace), self.brake.ease());
        let paused = self.steering.paused_by.is_some();
        crew.drive.send_modify(|drive| {
            *drive = Drive { pace, ease, paused, looks: drive.looks + 1 };
        });
        let by = match &self.steering.paused_by {
            Some(who) => Some(format!("paused by {who}")),
            None => self.brake.by().map(str::to_owned),
        };
        let ease = if paused { 0.0 } else { ease };
        self.ease(ease, by.clone(), notice);
        notice(ChunkEvent::Looked { ease, by: by.clone() });
        let rate = self.rate.at(self.walked);
        let workers = u32::try_from(crew.hired.len()).unwrap_or_default();
        self.reports.send_replace(Report { workers, pace: pace.name.into(), rate, held_by: by });
    }

    /// Tells what holds the fill back: when that begins, when it ends, and now and then between.
    fn ease(&mut self, ease: f64, by: Option<String>, notice: &mut (dyn FnMut(ChunkEvent) + Send)) {
        // The numbers in it change all the time.
        let kind = |by: &Option<String>| {
            by.as_ref().and_then(|by| by.split(' ').next().map(str::to_owned))
        };
        let news = match &self.eased {
            None => by.is_some(),
            Some((at, before)) => kind(before) != kind(&by) || by.is_some() && at.elapsed() >= TOLD,
        };
        if news {
            self.eased = Some((Instant::now(), by.clone()));
            notice(ChunkEvent::Eased { ease, by });
        }
    }

    /// How many workers there should be.
    fn workers(&self, job: &FillJob<'_>) -> usize {
        let asked = self.steering.workers.and_then(|count| usize::try_from(count).ok());
        // Where one writes at a time more would only wait for each other.
        let most = if job.step_aside { 1 } else { WORKERS_MAX };
        asked.unwrap_or(job.workers).clamp(1, most)
    }
}
