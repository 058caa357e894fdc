//! A session is cut at its n-th call, for every n, before and after the server acted; the
//! same calls again must end where an uncut run ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::Utc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use zdmig::backfill::{LimitsSource, Pace};
use zdmig::catalog::{Catalog, Server};
use zdmig::dialect::{
    Answer, ChunkDone, Doing, FailedRow, FillOrder, FillState, Filler, Monitor, MonitorOptions,
    Session, SessionError, Steer, Steering, Taken, Work,
};
use zdmig::engine::{Engine, EngineError, EngineOptions, Event};
use zdmig::gate::{Consumer, Evidence, GatePolicy, Permit, Question, Verdict, judge};
use zdmig::journal::{EntryKind, Journal, Watermark};
use zdmig::migration::{Migration, MigrationId, SourceFile};
use zdmig::plan::{Check, Plan, StepId};
use zdmig::planner::{self, PlanError};
use zdmig::sql::Sql;

use crate::cases::{cases, read};
use crate::corpus::{differs, dump};
use crate::support::{Database, way};

/// When a connection is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// Before the server saw the call.
    Before,
    /// After it acted, before it answered.
    After,
}

/// How many calls are left before everything is lost.
struct Left {
    calls: usize,
    when: When,
    lost: bool,
}

/// A session that is lost at its n-th call, and with it all later ones; a filler that it opens
/// counts along.
struct Cut {
    inner: Box<dyn Session>,
    left: Arc<Mutex<Left>>,
}

struct CutFiller {
    inner: Box<dyn Filler>,
    left: Arc<Mutex<Left>>,
}

impl Cut {
    fn new(inner: Box<dyn Session>, calls: usize, when: When) -> Self {
        Self { inner, left: Arc::new(Mutex::new(Left { calls, when, lost: false })) }
    }

    fn lost(&self) -> bool {
        self.left.lock().expect("no panic").lost
    }
}

fn enter(left: &Mutex<Left>) -> Result<bool, SessionError> {
    let mut left = left.lock().expect("no panic");
    if left.lost {
        return Err(gone());
    }
    if left.calls > 0 {
        left.calls -= 1;
        return Ok(false);
    }
    left.lost = true;
    if left.when == When::Before { Err(gone()) } else { Ok(true) }
}

fn gone() -> SessionError {
    SessionError::Lost { message: "cut by the test".into() }
}

macro_rules! cut {
    ($self:ident, $call:expr) => {{
        let last = enter(&$self.left)?;
        let outcome = $call.await;
        if last { Err(gone()) } else { outcome }
    }};
}

#[async_trait]
impl Session for Cut {
    async fn catalog(&mut self) -> Result<Catalog, SessionError> {
        cut!(self, self.inner.catalog())
    }
    async fn server(&mut self) -> Result<Server, SessionError> {
        cut!(self, self.inner.server())
    }
    async fn journal(&mut self) -> Result<Journal, SessionError> {
        cut!(self, self.inner.journal())
    }
    async fn check(&mut self, check: &Check) -> Result<Answer, SessionError> {
        cut!(self, self.inner.check(check))
    }

    async fn suppose(&mut self, after: &[Sql], check: &Check) -> Result<Answer, SessionError> {
        cut!(self, self.inner.suppose(after, check))
    }
    async fn exclusive(&mut self, owner: &str) -> Result<(), SessionError> {
        cut!(self, self.inner.exclusive(owner))
    }
    async fn execute(
        &mut self,
        sql: &[Sql],
        told: &mut (dyn FnMut(Doing) + Send),
    ) -> Result<(), SessionError> {
        cut!(self, self.inner.execute(sql, told))
    }
    async fn commit(&mut self, work: &Work<'_>) -> Result<(), SessionError> {
        cut!(self, self.inner.commit(work))
    }
    async fn begin_fill(
        &mut self,
        order: &FillOrder,
        anew: bool,
    ) -> Result<Watermark, SessionError> {
        cut!(self, self.inner.begin_fill(order, anew))
    }
    async fn retry_failed(&mut self, step: &StepId) -> Result<(), SessionError> {
        cut!(self, self.inner.retry_failed(step))
    }
    async fn failed_rows(
        &mut self,
        step: &StepId,
        most: u32,
    ) -> Result<Vec<FailedRow>, SessionError> {
        cut!(self, self.inner.failed_rows(step, most))
    }
    async fn filler(&mut self, order: &FillOrder) -> Result<Box<dyn Filler>, SessionError> {
        let inner = cut!(self, self.inner.filler(order))?;
        Ok(Box::new(CutFiller { inner, left: self.left.clone() }))
    }
    fn monitor(&mut self, order: &FillOrder, options: &MonitorOptions) -> Box<dyn Monitor> {
        // It only looks, and looks again.
        self.inner.monitor(order, options)
    }
    async fn steer(&mut self, prefix: &str, change: &Steer) -> Result<(), SessionError> {
        cut!(self, self.inner.steer(prefix, change))
    }
    async fn steering(&mut self, prefix: &str) -> Result<Steering, SessionError> {
        cut!(self, self.inner.steering(prefix))
    }
    async fn fills(&mut self) -> Result<Vec<FillState>, SessionError> {
        cut!(self, self.inner.fills())
    }
}

#[async_trait]
impl Filler for CutFiller {
    async fn take(&mut self) -> Result<Taken, SessionError> {
        cut!(self, self.inner.take())
    }
    async fn chunk(&mut self, rows_max: u32) -> Result<ChunkDone, SessionError> {
        cut!(self, self.inner.chunk(rows_max))
    }
    async fn leave(&mut self) -> Result<(), SessionError> {
        cut!(self, self.inner.leave())
    }
}

/// What a run does, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Journey {
    /// Expand to purge.
    Forward,
    /// Expand, backfill, contract, and back again.
    Back,
}

fn options() -> EngineOptions {
    EngineOptions {
        owner: "the test".into(),
        lock_wait_max: Duration::from_secs(10),
        pace: Pace { target: Duration::from_micros(1), ..Pace::DEFAULT },
        workers: 1,
        step_aside: false,
        limits: LimitsSource::default(),
        failed_max: 0,
        deadline: None,
    }
}

/// Runs a journey on one session; a second call goes on where the first was cut.
pub async fn travel(
    session: &mut dyn Session,
    plan: &Plan,
    journey: Journey,
) -> Result<(), EngineError> {
    watched(session, plan, journey, &mut Vec::new()).await
}

/// The same, with the steps that locked, read or wrote anew what the plan does not tell.
pub async fn watched(
    session: &mut dyn Session,
    plan: &Plan,
    journey: Journey,
    untold: &mut Vec<String>,
) -> Result<(), EngineError> {
    let options = options();
    let cancel = CancellationToken::new();
    let mut hear = |event: Event<'_>| {
        if let Event::Measured { step, measured } = event
            && !measured.was_told(&step.lowered.locks)
        {
            let told = &step.lowered.locks;
            untold.push(format!("{}\n  told {told:?}\n  measured {measured:?}", step.id));
        }
    };
    session.exclusive(&options.owner).await?;
    let mut engine = Engine::started(session, &options, &cancel, &mut hear).await?;
    let turned = journey == Journey::Back
        && engine.journal().entries().iter().any(|entry| entry.kind.word().contains("undo"));
    let gone = engine.journal().entries().iter().any(|one| one.kind == EntryKind::RolledBack);
    if !turned && !gone {
        engine.expand(plan).await?;
        engine.backfill(plan).await?;
        engine.contract(plan, permit(plan)).await?;
        if journey == Journey::Forward {
            return engine.purge(plan, permit(plan)).await;
        }
    }
    if gone { Ok(()) } else { engine.rollback(plan).await }
}

/// A permit as the gate makes it, in a world with nobody in it who matters.
fn permit(plan: &Plan) -> Permit {
    let policy = GatePolicy {
        consumers: vec![Consumer { name: "nobody".into(), idle: true, ..Consumer::default() }],
        ..GatePolicy::default()
    };
    let evidence = Evidence { at: Utc::now(), ..Evidence::default() };
    let question = Question::ready(plan);
    match judge(&question, &evidence, &policy, Utc::now()) {
        Verdict::Pass { permit, .. } => permit,
        verdict => panic!("{verdict:?}"),
    }
}

/// Where a database has come to: its schema, its rows, and what the journal says is done.
async fn state(database: &Database) -> (Catalog, Vec<Vec<Option<String>>>, Vec<String>) {
    let catalog = database.catalog().await;
    let columns: Vec<_> = catalog
        .tables
        .values()
        .next()
        .expect("a table")
        .columns
        .iter()
        .map(|column| column.name.to_string())
        .collect();
    let query = format!("SELECT {} FROM users ORDER BY id", columns.join(", "));
    let rows = database.client().await.rows(&query, &[]).await.expect("rows");
    let journal = database.session().await.journal().await.expect("a journal");
    let done = journal
        .entries()
        .iter()
        .filter(|entry| {
            matches!(
                entry.kind,
                EntryKind::Finished { .. } | EntryKind::Undone | EntryKind::RolledBack
            )
        })
        .map(|entry| format!("{} {}", entry.kind.word(), entry.step))
        .collect();
    (catalog, rows, done)
}

async fn plan_for(database: &Database, sql: &str) -> Plan {
    plan_of(database, sql).await.expect("a plan")
}

/// Plans a migration against a database.
pub async fn plan_of(database: &Database, sql: &str) -> Result<Plan, PlanError> {
    let id = MigrationId::from_stem("1_change").expect("an id");
    let file = SourceFile::new(id, "1_change.sql".into(), sql);
    let dialect = database.dialect();
    let migration = Migration::parse(&file, |source| dialect.split(source)).expect("it parses");
    let catalog = database.session().await.catalog().await.expect("a catalogue");
    planner::plan(&migration, &catalog, &[], dialect).map(|(plan, _)| plan)
}

const SCHEMA: &str =
    "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(40) NOT NULL DEFAULT 'anon');
    CREATE INDEX users_username ON users (username);
    INSERT INTO users (id, username) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e');";

async fn fresh(template: &Database) -> Database {
    if template.url.starts_with("sqlite") {
        let database = Database::sqlite().await;
        database.script(SCHEMA).await;
        database
    } else {
        Database::postgres_like("crash", Some(template)).await
    }
}

async fn every_call(product: &str, journey: Journey) {
    let template = Database::of(product, "crash_template").await;
    template.script(SCHEMA).await;
    let plan = plan_for(&template, "ALTER TABLE users RENAME COLUMN username TO email;").await;
    let uncut = fresh(&template).await;
    travel(&mut *uncut.session().await, &plan, journey).await.expect("an uncut run");
    let expected = state(&uncut).await;
    // The way back at every other call, without `ZDMIG_EVERY_CUT=1`.
    let every = std::env::var_os("ZDMIG_EVERY_CUT").is_some();
    let step = if every || matches!(journey, Journey::Forward) { 1 } else { 2 };
    for when in [When::Before, When::After] {
        let mut n = 0;
        loop {
            let database = fresh(&template).await;
            let mut cut = Cut::new(database.session().await, n, when);
            let outcome = travel(&mut cut, &plan, journey).await;
            let lost = cut.lost();
            drop(cut);
            if !lost {
                outcome.expect("nothing was cut");
                break;
            }
            // The server may take a moment to notice that a session is gone.
            let mut tries = 0;
            loop {
                let outcome = travel(&mut *database.session().await, &plan, journey).await;
                match outcome {
                    Err(EngineError::Session(SessionError::Busy { .. })) if tries < 100 => {
                        tries += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    other => {
                        break other.unwrap_or_else(|error| {
                            panic!("{journey:?} cut {when:?} call {n}: {error}")
                        });
                    }
                }
            }
            let found = state(&database).await;
            assert_eq!(found, expected, "{journey:?} cut {when:?} call {n}");
            n += step;
        }
        assert!(n > 10, "only {n} calls were cut");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_forward() {
    every_call("sqlite", Journey::Forward).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_back() {
    every_call("sqlite", Journey::Back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_forward() {
    every_call("postgres", Journey::Forward).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_back() {
    every_call("postgres", Journey::Back).await;
}

/// Goes forth until it is cut, or until contract is done.
async fn forth(session: &mut dyn Session, plan: &Plan) -> Result<(), EngineError> {
    let options = options();
    let cancel = CancellationToken::new();
    let mut unheard = |_: Event<'_>| {};
    session.exclusive(&options.owner).await?;
    let mut engine = Engine::started(session, &options, &cancel, &mut unheard).await?;
    engine.expand(plan).await?;
    engine.backfill(plan).await?;
    engine.contract(plan, permit(plan)).await
}

/// Takes back whatever there is.
async fn back(session: &mut dyn Session, plan: &Plan) -> Result<(), EngineError> {
    let options = options();
    let cancel = CancellationToken::new();
    let mut unheard = |_: Event<'_>| {};
    session.exclusive(&options.owner).await?;
    let mut engine = Engine::started(session, &options, &cancel, &mut unheard).await?;
    if engine.journal().plan(&plan.migration).is_none() {
        return Ok(());
    }
    engine.rollback(plan).await
}

/// A case is cut at some of its calls, or at all of them, and taken back: the server's own
/// dump of the schema is what it was.
async fn taken_back(case: &Path, every: bool) {
    let database = Database::postgres("cut").await;
    database.script(&read(case, "schema.sql").expect("schema.sql")).await;
    let before = dump(&database);
    let plan = plan_for(&database, &read(case, "migration.sql").expect("migration.sql")).await;
    let mut whole = Cut::new(database.session().await, usize::MAX, When::Before);
    forth(&mut whole, &plan).await.unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let calls = usize::MAX - whole.left.lock().expect("no panic").calls;
    drop(whole);
    let cuts: Vec<usize> =
        if every { (0..calls).collect() } else { vec![calls / 4, calls / 2, calls * 3 / 4] };
    back_to(&database, &plan, &before, case, "from contract").await;
    for (at, n) in cuts.into_iter().enumerate() {
        let whens = if every {
            vec![When::Before, When::After]
        } else {
            vec![[When::Before, When::After][at % 2]]
        };
        for when in whens {
            let mut cut = Cut::new(database.session().await, n, when);
            let _ = forth(&mut cut, &plan).await;
            drop(cut);
            back_to(&database, &plan, &before, case, &format!("cut {when:?} call {n}")).await;
        }
    }
}

async fn back_to(
    database: &Database,
    plan: &Plan,
    before: &BTreeMap<String, usize>,
    case: &Path,
    from: &str,
) {
    let mut tries = 0;
    loop {
        match back(&mut *database.session().await, plan).await {
            Err(EngineError::Session(SessionError::Busy { .. })) if tries < 200 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => {
                other.unwrap_or_else(|error| panic!("{} {from}: {error}", case.display()));
                break;
            }
        }
    }
    let found = dump(database);
    let (more, less) = (differs(&found, before), differs(before, &found));
    assert!(
        more.is_empty() && less.is_empty(),
        "{} {from}\nmore:\n{more}\nless:\n{less}",
        case.display()
    );
}

/// `ZDMIG_EVERY_CUT=1` cuts at every call, before and after the server acted; without it a
/// few for every other case.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_taken_back_from_where_it_was_cut() {
    let every = std::env::var_os("ZDMIG_EVERY_CUT").is_some();
    let wanted = std::env::var("ZDMIG_CASE").unwrap_or_default();
    let mut waiting = cases("postgres");
    waiting.retain(|path| {
        let told = ["refused.txt", "irreversible"].map(|name| read(path, name));
        // Every fourth one, and not those that the two applications go through.
        let now = every || !wanted.is_empty() || way(path, 4).is_none_or(|way| way == 1);
        now && path.display().to_string().contains(&wanted) && told.iter().all(Option::is_none)
    });
    let mut failed = Vec::new();
    for some in waiting.chunks(4) {
        let running: Vec<_> = some
            .iter()
            .map(|path| {
                let path = path.clone();
                tokio::spawn(async move { taken_back(&path, every).await })
            })
            .collect();
        for (path, run) in some.iter().zip(running) {
            if run.await.is_err() {
                failed.push(path.file_name().expect("a name").to_string_lossy().into_owned());
            }
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}
