//! The phases, there and back, with the load on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::prepare::{Code, NAME, Theatre};
use crate::cli::context::{CONNECT_LIMIT, Context, lock, owner};
use crate::cli::failure::Failure;
use crate::cli::{evidence, phase::Tally};
use crate::dialect::{self, DatabaseUrl, Measure, Options, Session};
use crate::engine::{Engine, EngineError, EngineOptions, Event};
use crate::gate::{Evidence, Permit, Verdict};
use crate::plan::{Phase, Plan, Undo};
use crate::rehearsal::{
    Fill, Load, Mark, Rehearsal, StepLocks, Strained, WayBack, Workload, phases,
};
use crate::sql::TableName;

/// The load is on for so long before anything is measured: connections, caches.
const WARM_UP: Duration = Duration::from_secs(2);

/// How often it is looked who waits.
const LOOK: Duration = Duration::from_millis(50);

/// How to be connected where phases are run.
pub(super) fn options(context: &Context<'_>) -> Options {
    Options {
        lock_timeout: context.settings.lock_timeout.value,
        connect_timeout: CONNECT_LIMIT,
        measure: Measure::Locks,
        pooled: false,
        beside: None,
    }
}

/// What runs phases on the stage, and has nobody to ask.
struct Hand<'a> {
    session: Box<dyn Session>,
    options: EngineOptions,
    evidence: Evidence,
    cancel: &'a CancellationToken,
    /// What each step locked, each time that it ran.
    locked: Vec<StepLocks>,
}

impl<'a> Hand<'a> {
    async fn on(url: &DatabaseUrl, context: &Context<'a>) -> Result<Self, Failure> {
        let dialect = dialect::for_url(url)?;
        let mut session = dialect.connect(url, &options(context)).await?;
        let can = dialect.capabilities(&session.server().await?);
        let options = context.engine_options(can.single_writer);
        lock(&mut *session, &options.owner, context.cancel, Duration::ZERO).await?;
        let evidence = evidence::at_work(url, context).await?;
        Ok(Self { session, options, evidence, cancel: context.cancel, locked: Vec::new() })
    }

    fn permit(&self, plan: &Plan) -> Result<Permit, Failure> {
        match crate::gate::nobody_at_work(plan, &self.evidence) {
            Verdict::Pass { permit, .. } => Ok(permit),
            verdict => {
                let who = verdict.reasons().first().map(|one| one.message.clone());
                Err(Failure::usage(format!(
                    "the scratch database says that somebody uses it: {}",
                    who.unwrap_or_default()
                ))
                .hint("give a fresh one"))
            }
        }
    }

    /// Runs something with an engine; the rows that it changed.
    async fn run<F>(&mut self, act: F) -> Result<u64, Failure>
    where
        F: AsyncFnOnce(&mut Engine<'_>) -> Result<(), EngineError>,
    {
        let mut tally = Tally::default();
        let locked = &mut self.locked;
        let mut hear = |event: Event<'_>| {
            tally.count(&event);
            if let Event::Measured { step, measured } = event {
                locked.push(StepLocks {
                    step: step.id.to_string(),
                    locks: measured.locks.clone(),
                    held_ms: measured.held.as_secs_f64() * 1e3,
                });
            }
        };
        let mut engine =
            Engine::started(&mut *self.session, &self.options, self.cancel, &mut hear).await?;
        act(&mut engine).await?;
        drop(engine);
        Ok(tally.rows())
    }
}

/// Takes plans all the way, with nobody looking.
pub(super) async fn through(
    plans: &[Plan],
    url: &DatabaseUrl,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if plans.is_empty() {
        return Ok(());
    }
    let mut hand = Hand::on(url, context).await?;
    for plan in plans {
        let (contract, purge) = (hand.permit(plan)?, hand.permit(plan)?);
        hand.run(async |engine: &mut Engine<'_>| {
            engine.take_up(plan).await?;
            engine.expand(plan).await?;
            engine.backfill(plan).await?;
            engine.contract(plan, contract).await?;
            engine.purge(plan, purge).await
        })
        .await?;
    }
    Ok(())
}

/// What is kept while it goes on.
struct Play<'a, 'c> {
    hand: Hand<'c>,
    load: &'a Load,
    code: &'a [Code],
    plan: &'a Plan,
    hold: Duration,
    marks: Vec<Mark>,
    ways_back: Vec<WayBack>,
    fill: Option<Fill>,
    told: &'a mut dyn FnMut(&str),
}

/// Rehearses the last of the plans.
pub(super) async fn run(
    theatre: Theatre,
    plans: &[Plan],
    hold: Duration,
    context: &mut Context<'_>,
) -> Result<Rehearsal, Failure> {
    let Some(plan) = plans.last() else {
        return Err(Failure::usage("there is nothing to rehearse"));
    };
    let hand = Hand::on(&theatre.stage.url, context).await?;
    // Better known now than when it is asked for, minutes from here.
    hand.permit(plan)?;
    let active: Vec<bool> = theatre.code.iter().map(|code| *code != Code::New).collect();
    let load = Load::begin(theatre.order.clone(), &active).await?;
    let gauge = Gauge::begin(&theatre, load.begun()).await?;
    let before = gauge.bytes().await;
    let mut told = |words: &str| context.reporter.narrate(words);
    let mut play = Play {
        hand,
        load: &load,
        code: &theatre.code,
        plan,
        hold,
        marks: Vec::new(),
        ways_back: Vec::new(),
        fill: None,
        told: &mut told,
    };
    // A request may wait for whatever it likes: whoever wants an end does not.
    let (stopper, cancel) = (load.stopper(), play.hand.cancel.clone());
    let ends = tokio::spawn(async move {
        cancel.cancelled().await;
        stopper.cancel();
    });
    let played = play.whole(&theatre).await;
    ends.abort();
    let (marks, ways_back, fill) = (play.marks, play.ways_back, play.fill);
    let locked = play.hand.locked;
    let end = load.begun().elapsed();
    let after = gauge.bytes().await;
    let (seen, looks) = (load.end().await, gauge.end().await);
    played?;
    let mut found = Rehearsal::new(
        plan.migration.to_string(),
        plan.fingerprint.to_string(),
        Utc::now(),
        owner(),
    );
    found.server.clone_from(&theatre.stage.words);
    found.rows.clone_from(&theatre.rows);
    found.rate = theatre.order.rate;
    found.connections = theatre.order.connections;
    let named = theatre.order.scripts.iter().zip(&theatre.code);
    found.workloads = named
        .map(|(script, code)| Workload { name: script.name.clone(), code: code.word().to_owned() })
        .collect();
    found.phases = phases(&marks, &seen, &looks, end);
    found.ways_back = ways_back;
    found.fill = fill;
    context.settings.pace.value.0.clone_into(&mut found.pace);
    for one in locked {
        found.locked(one);
    }
    found.bytes = (before, after);
    found.plot(&seen);
    Ok(found)
}

impl Play<'_, '_> {
    async fn whole(&mut self, theatre: &Theatre) -> Result<(), Failure> {
        self.wait(WARM_UP).await?;
        self.mark("before");
        self.wait(self.hold).await?;
        self.mark("expand");
        self.expand().await?;
        self.new_code_runs(theatre).await?;
        self.wait(self.hold).await?;
        self.back("expanded").await?;
        self.mark("backfill");
        self.fill().await?;
        self.wait(self.hold).await?;
        if self.code.contains(&Code::New) {
            self.mark("new code beside old");
            self.set(Code::New, true).await;
            self.wait(self.hold).await?;
        }
        self.back("filled").await?;
        self.mark("contract");
        self.set(Code::Old, false).await;
        self.contract().await?;
        self.wait(self.hold).await?;
        if self.has_way_back() {
            self.mark("restore, and contract again");
            self.timed("contracted", async |engine, plan| engine.restore(plan).await).await?;
            self.wait(self.hold).await?;
            self.contract().await?;
        }
        self.mark("purge");
        let (plan, permit) = (self.plan, self.hand.permit(self.plan)?);
        self.hand.run(async |engine: &mut Engine<'_>| engine.purge(plan, permit).await).await?;
        self.wait(self.hold).await
    }

    fn mark(&mut self, name: &str) {
        (self.told)(name);
        self.marks.push(Mark { name: name.to_owned(), at: self.load.begun().elapsed() });
    }

    async fn wait(&self, time: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.hand.cancel.cancelled() => Err(EngineError::Interrupted.into()),
        }
    }

    /// Lets all scripts of one code run from now on, or no more.
    async fn set(&self, code: Code, active: bool) {
        for (at, _) in self.code.iter().enumerate().filter(|(_, one)| **one == code) {
            self.load.set_active(at, active).await;
        }
    }

    async fn expand(&mut self) -> Result<(), Failure> {
        let plan = self.plan;
        self.hand
            .run(async |engine: &mut Engine<'_>| {
                if engine.journal().plan(&plan.migration).is_none() {
                    engine.take_up(plan).await?;
                }
                engine.expand(plan).await
            })
            .await?;
        Ok(())
    }

    /// The first of the fills is the one whose rate is told.
    async fn fill(&mut self) -> Result<(), Failure> {
        let (plan, begun) = (self.plan, Instant::now());
        let rows =
            self.hand.run(async |engine: &mut Engine<'_>| engine.backfill(plan).await).await?;
        let seconds = begun.elapsed().as_secs_f64();
        if rows > 0 && self.fill.is_none() {
            self.fill = Some(Fill { rows, seconds });
        }
        Ok(())
    }

    async fn contract(&mut self) -> Result<(), Failure> {
        let (plan, permit) = (self.plan, self.hand.permit(self.plan)?);
        self.hand.run(async |engine: &mut Engine<'_>| engine.contract(plan, permit).await).await?;
        Ok(())
    }

    /// What failed before expand must not fail after it.
    async fn new_code_runs(&self, theatre: &Theatre) -> Result<(), Failure> {
        let scripts = theatre.order.scripts.iter().zip(self.code);
        for (script, _) in scripts.filter(|(_, code)| **code == Code::New) {
            theatre.order.attempt(script).await.map_err(|error| {
                let why = format!("`{}` fails before expand and after it: {error}", script.name);
                Failure::usage(why)
                    .hint("mend the script, or give the database what it needs with --scratch")
            })?;
        }
        Ok(())
    }

    /// Whether the plan says that what it does before purge can be taken back.
    fn has_way_back(&self) -> bool {
        let before_purge = self.plan.steps.iter().filter(|step| step.phase < Phase::Purge);
        before_purge.map(|step| &step.lowered.undo).all(|undo| *undo != Undo::Impossible)
    }

    /// All the way back from a state, and there again.
    async fn back(&mut self, from: &str) -> Result<(), Failure> {
        if !self.has_way_back() {
            (self.told)("no way back: the plan has a step that cannot be taken back");
            return Ok(());
        }
        let filled = from == "filled";
        self.mark(&format!("back from {from}, and again"));
        // Whoever goes back ends the new code first.
        self.set(Code::New, false).await;
        self.timed(from, async |engine, plan| engine.rollback(plan).await).await?;
        self.expand().await?;
        if filled {
            self.fill().await?;
            self.set(Code::New, true).await;
        }
        self.wait(self.hold).await
    }

    /// Goes a way back and tells how long it took.
    async fn timed<F>(&mut self, from: &str, act: F) -> Result<(), Failure>
    where
        F: AsyncFnOnce(&mut Engine<'_>, &Plan) -> Result<(), EngineError>,
    {
        let (plan, begun) = (self.plan, Instant::now());
        self.hand.run(async |engine: &mut Engine<'_>| act(engine, plan).await).await.map_err(
            |failure| {
                let why = format!("the way back from {from}: {}", failure.message());
                Failure::new(failure.exit(), why)
            },
        )?;
        let seconds = begun.elapsed().as_secs_f64();
        self.ways_back.push(WayBack { from: from.to_owned(), seconds });
        Ok(())
    }
}

/// Looks at the database all the while, on a connection of its own.
struct Gauge {
    url: DatabaseUrl,
    tables: Vec<TableName>,
    looks: Arc<Mutex<Vec<Strained>>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Gauge {
    async fn begin(theatre: &Theatre, begun: Instant) -> Result<Self, Failure> {
        let (url, tables) = (theatre.stage.url.clone(), theatre.tables.clone());
        let mut observer = theatre.dialect.attach(&url, "zdmig rehearse").await?.observer;
        let (looks, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        let (kept, stopped) = (Arc::clone(&looks), stop.clone());
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = stopped.cancelled() => return,
                }
                // A look that fails is no look; the statements' own times tell as well.
                if let Ok(strain) = observer.strain(NAME, &[]).await {
                    let look =
                        Strained { at: begun.elapsed(), waits: strain.waits, log: strain.log };
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(look);
                }
            }
        });
        Ok(Self { url, tables, looks, stop, task })
    }

    /// How large the tables are.
    async fn bytes(&self) -> u64 {
        let asked = async {
            let mut observer = dialect::for_url(&self.url)
                .ok()?
                .attach(&self.url, "zdmig rehearse")
                .await
                .ok()?
                .observer;
            observer.strain(NAME, &self.tables).await.ok()
        };
        asked.await.map_or(0, |strain| strain.bytes)
    }

    async fn end(self) -> Vec<Strained> {
        self.stop.cancel();
        let _ = self.task.await;
        std::mem::take(&mut *self.looks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
