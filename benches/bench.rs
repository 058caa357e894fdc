//! What a change costs, as ratios within one run. `just bench` boots a server and runs it.
//!
//! 1. A chunked backfill of 1,000,000 rows against one single UPDATE of the same rows.
//! 2. How long the process takes to start.
//! 3. How long the rename's steps held their strong locks, with two applications at work.
//! 4. What it takes to plan a history of 1,000 migrations, and to check one file, each as a
//!    whole process without a connection.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark talks and may fail loudly"
)]
#![expect(clippy::cast_precision_loss, reason = "ratios for people")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use zdmig::backfill::{LimitsSource, Pace};
use zdmig::demo::{App, Ledger, Version};
use zdmig::dialect::{self, Client, DatabaseUrl, Dialect, Measure, Options, Session};
use zdmig::engine::{Engine, EngineOptions, Event};
use zdmig::gate::{Consumer, Evidence, GatePolicy, Permit, Question, Verdict, judge};
use zdmig::migration::{Migration, MigrationId, SourceFile};
use zdmig::plan::{Blocks, Phase, Plan};
use zdmig::planner;

const ROWS: i64 = 1_000_000;

struct Bench {
    dialect: &'static dyn Dialect,
    url: DatabaseUrl,
    text: String,
}

impl Bench {
    async fn client(&self) -> Box<dyn Client> {
        self.dialect.attach(&self.url, "bench").await.unwrap().client
    }

    async fn session(&self) -> Box<dyn Session> {
        let options = Options {
            lock_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(10),
            measure: Measure::Nothing,
            pooled: false,
            beside: None,
        };
        self.dialect.connect(&self.url, &options).await.unwrap()
    }

    /// A table of its own for each measurement, vacuumed and checkpointed.
    async fn seed(&self) {
        let mut client = self.client().await;
        client
            .script(&format!(
                "DROP SCHEMA IF EXISTS zdmig CASCADE; DROP TABLE IF EXISTS users;
                 CREATE TABLE users (id bigint PRIMARY KEY, username varchar(255) NOT NULL, bio text);
                 INSERT INTO users SELECT g, 'user ' || g, repeat('x', 150) FROM generate_series(1, {ROWS}) g"
            ))
            .await
            .unwrap();
        client.run("VACUUM ANALYZE users", &[]).await.unwrap();
        client.run("CHECKPOINT", &[]).await.unwrap();
    }

    async fn plan(&self) -> Plan {
        let sql = "ALTER TABLE users RENAME COLUMN username TO email;";
        let id = MigrationId::from_stem("1_rename").unwrap();
        let file = SourceFile::new(id, "1_rename.sql".into(), sql);
        let migration = Migration::parse(&file, |source| self.dialect.split(source)).unwrap();
        let catalog = self.session().await.catalog().await.unwrap();
        planner::plan(&migration, &catalog, &[], self.dialect).unwrap().0
    }

    /// Runs phases; the time of each step, and whether it locks out readers or writers.
    async fn run(
        &self,
        plan: &Plan,
        phases: &[Phase],
        pace: Pace,
    ) -> Vec<(String, bool, Duration)> {
        let options = EngineOptions {
            owner: "bench".into(),
            lock_wait_max: Duration::from_mins(1),
            pace,
            workers: 1,
            step_aside: false,
            limits: LimitsSource::default(),
            failed_max: 0,
            deadline: None,
        };
        let cancel = CancellationToken::new();
        let mut steps = Vec::new();
        let mut hear = |event: Event<'_>| {
            if let Event::StepFinished { step, took, .. } = event {
                let strong = |lock: &zdmig::plan::Lock| {
                    matches!(lock.blocks, Blocks::Writes | Blocks::Everything)
                };
                let slug = step.id.slug().to_owned();
                steps.push((slug, step.lowered.locks.iter().any(strong), took));
            }
        };
        let mut session = self.session().await;
        session.exclusive("bench").await.unwrap();
        let mut engine =
            Engine::started(&mut *session, &options, &cancel, &mut hear).await.unwrap();
        for phase in phases {
            match phase {
                Phase::Expand => engine.expand(plan).await.unwrap(),
                Phase::Backfill => engine.backfill(plan).await.unwrap(),
                Phase::Contract => engine.contract(plan, permit(plan)).await.unwrap(),
                Phase::Purge => engine.purge(plan, permit(plan)).await.unwrap(),
            }
        }
        steps
    }
}

fn permit(plan: &Plan) -> Permit {
    let now = chrono::Utc::now();
    let policy = GatePolicy {
        consumers: vec![Consumer { name: "nobody".into(), idle: true, ..Consumer::default() }],
        ..GatePolicy::default()
    };
    let evidence = Evidence { at: now, ..Evidence::default() };
    let question = Question::ready(plan);
    match judge(&question, &evidence, &policy, now) {
        Verdict::Pass { permit, .. } => permit,
        verdict => panic!("{verdict:?}"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

async fn fill(bench: &Bench) {
    println!("\n## {ROWS} rows: chunks against one UPDATE\n");
    println!("| | time | ratio | rows a second |");
    println!("|---|---|---|---|");
    bench.seed().await;
    let mut client = bench.client().await;
    client.script("ALTER TABLE users ADD COLUMN email varchar(255)").await.unwrap();
    let begun = Instant::now();
    client.run("UPDATE users SET email = username", &[]).await.unwrap();
    let single = begun.elapsed();
    let rate = |time: Duration| format!("{:.0}", ROWS as f64 / time.as_secs_f64());
    println!("| one single UPDATE | {} | 1.00 | {} |", seconds(single), rate(single));
    for (name, pace) in [("fast", Pace::FAST), ("default", Pace::DEFAULT)] {
        bench.seed().await;
        let plan = bench.plan().await;
        let steps = bench.run(&plan, &[Phase::Expand, Phase::Backfill], pace).await;
        let took = steps.iter().find(|(slug, ..)| slug.starts_with("fill-")).unwrap().2;
        let ratio = took.as_secs_f64() / single.as_secs_f64();
        println!("| chunks, pace {name} | {} | {ratio:.2} | {} |", seconds(took), rate(took));
    }
}

async fn locks(bench: &Bench) {
    bench.seed().await;
    let ledger = Arc::new(Ledger::default());
    for id in 1..=ROWS {
        ledger.seeded(id, format!("user {id}"));
    }
    let app = App {
        dialect: bench.dialect,
        url: bench.url.clone(),
        env: "bench".into(),
        version: Version::Old,
        ledger: ledger.clone(),
        phase: Arc::new(AtomicUsize::new(0)),
        seeded: ROWS,
        first_turn: 0,
        pause: Duration::from_millis(2),
    };
    let old = app.clone().start();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let plan = bench.plan().await;
    let mut steps = bench.run(&plan, &[Phase::Expand], Pace::DEFAULT).await;
    let new = App { version: Version::New, first_turn: 700_000, ..app }.start();
    steps.extend(bench.run(&plan, &[Phase::Backfill], Pace::DEFAULT).await);
    let mut done = old.drain().await;
    steps.extend(bench.run(&plan, &[Phase::Contract, Phase::Purge], Pace::DEFAULT).await);
    done.add(new.drain().await);
    println!("\n## Strong locks of the rename, {ROWS} rows, two applications at work\n");
    println!("| step | held, at most |");
    println!("|---|---|");
    for (slug, _, took) in steps.iter().filter(|(_, strong, _)| *strong) {
        println!("| {slug} | {:.1} ms |", took.as_secs_f64() * 1e3);
    }
    println!(
        "\n{} statements of the applications, {} failed, {} lost",
        done.statements, done.failed, done.lost
    );
}

/// A history as projects have them: tables that are made, grow columns, indexes and keys, and
/// are changed.
fn history(folder: &std::path::Path, files: usize) {
    for number in 0..files {
        let table = format!("t{}", number / 10);
        let sql = match number % 10 {
            0 => format!(
                "CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
                 name varchar(80) NOT NULL, state text NOT NULL DEFAULT 'new', at timestamptz);"
            ),
            1 => {
                format!("ALTER TABLE {table} ADD COLUMN note text, ADD COLUMN size int DEFAULT 0;")
            }
            2 => format!("CREATE INDEX {table}_state ON {table} (state) WHERE at IS NOT NULL;"),
            3 => format!("ALTER TABLE {table} RENAME COLUMN name TO title;"),
            4 => format!(
                "ALTER TABLE {table} ADD COLUMN parent bigint; ALTER TABLE {table} ADD CONSTRAINT \
                 {table}_parent FOREIGN KEY (parent) REFERENCES {table} (id);"
            ),
            5 => format!("ALTER TABLE {table} ADD CONSTRAINT {table}_size CHECK (size >= 0);"),
            6 => format!(
                "UPDATE {table} SET note = '' WHERE note IS NULL; ALTER TABLE {table} ALTER COLUMN note SET NOT NULL;"
            ),
            7 => format!("ALTER TABLE {table} ALTER COLUMN size TYPE bigint;"),
            8 => format!("CREATE UNIQUE INDEX {table}_title ON {table} (title);"),
            _ => format!("ALTER TABLE {table} DROP COLUMN at;"),
        };
        std::fs::write(folder.join(format!("{:05}_change.sql", number + 1)), sql).unwrap();
    }
}

/// Time and peak memory of a whole process, the best of a few.
fn process(folder: &std::path::Path, arguments: &[&str], times: usize) -> (Duration, u64) {
    let one = || {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_zdmig"))
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let size = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
            peak = peak.max(size.unwrap_or(0));
            std::thread::sleep(Duration::from_millis(1));
        }
        (begun.elapsed(), peak)
    };
    let all: Vec<_> = (0..times).map(|_| one()).collect();
    let best = all.iter().map(|(took, _)| *took).min().unwrap_or_default();
    (best, all.iter().map(|(_, peak)| *peak).max().unwrap_or_default())
}

fn planning() {
    println!("\n## A history of 1,000 migrations, whole process without a connection\n");
    println!("| command | time, best of 5 | peak memory | target |");
    println!("|---|---|---|---|");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("migrations")).unwrap();
    history(&folder.path().join("migrations"), 1_000);
    let empty = zdmig::catalog::Snapshot::of(dialect::default().empty(), Vec::new());
    std::fs::write(folder.path().join("empty.json"), empty.to_json()).unwrap();
    for (arguments, target) in [
        (&["plan", "--catalog", "empty.json"][..], "1 s, 200 MB"),
        (&["check", "migrations/01000_change.sql"], "50 ms"),
    ] {
        let (took, peak) = process(folder.path(), arguments, 5);
        let time = took.as_secs_f64() * 1e3;
        println!(
            "| zdmig {} | {time:.0} ms | {} MB | {target} |",
            arguments.join(" "),
            peak / 1024
        );
    }
}

fn start_up(url: &str) {
    println!("\n## Start-up, whole process, median of 21\n");
    println!("| command | time |");
    println!("|---|---|");
    for line in ["--version", "status"] {
        let mut times: Vec<_> = (0..21)
            .map(|_| {
                let begun = Instant::now();
                let mut command = Command::new(env!("CARGO_BIN_EXE_zdmig"));
                command.arg(line).env("ZDMIG_DATABASE_URL", url).current_dir(std::env::temp_dir());
                assert!(command.output().unwrap().status.success());
                begun.elapsed()
            })
            .collect();
        times.sort();
        println!("| zdmig {line} | {:.1} ms |", times[10].as_secs_f64() * 1e3);
    }
}

fn main() {
    let server = std::env::var("ZDMIG_TEST_POSTGRES_URL").expect("run it with `just bench`");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = DatabaseUrl::new(server).unwrap();
        let dialect = dialect::for_url(&server).unwrap();
        let scratch = dialect.scratch(Some(&server), &std::env::temp_dir()).await.unwrap();
        let text = std::env::var("ZDMIG_TEST_POSTGRES_URL").unwrap();
        let bench = Bench { dialect, url: scratch.url.clone(), text };
        planning();
        fill(&bench).await;
        start_up(&bench.text);
        locks(&bench).await;
        if let Some((url, sql)) = scratch.drop {
            dialect.attach(&url, "bench").await.unwrap().client.script(&sql).await.unwrap();
        }
    });
}
