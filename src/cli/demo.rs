use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser as _;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::{backfill, contract, deploy, expand, gate, plan, purge, restore, status};
use crate::config::{Flags, Settings};
use crate::demo::{App, Done, FILE, Ledger, MIGRATION, Running, SCHEMA, Version};
use crate::dialect::{self, Client, Dialect, Scratch, Value};
use crate::report::{Reporter, counted, duration, grouped, table};
use crate::telemetry::Telemetry;

/// Rename a column on a live database, with an old and a new application at work throughout
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Keep the database
    #[arg(long)]
    keep: bool,
    /// How many users the table has
    #[arg(long, default_value_t = 50_000)]
    rows: u32,
}

/// What is measured apart, in order.
const PHASES: [&str; 7] = ["before", "expand", "backfill", "gate", "contract", "restore", "purge"];

pub(super) async fn run(
    args: &Args,
    flags: &Flags,
    reporter: &mut Reporter,
    cancel: &CancellationToken,
) -> Result<Exit, Failure> {
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot make a folder: {error}"));
    let folder = tempfile::Builder::new().prefix("zdmig-demo-").tempdir().map_err(cannot)?;
    let server = Settings::resolve(flags, &super::variable)?.database_url;
    let server = server.filter(|_| flags.database_url.is_some()).map(|setting| setting.value);
    let dialect = match &server {
        Some(url) => dialect::for_url(url)?,
        None => dialect::embedded(),
    };
    let scratch = dialect.scratch(server.as_ref(), folder.path()).await?;
    reporter.product(&format!(
        "database  {}\nfolder    {}\n",
        scratch.url,
        folder.path().display()
    ));
    let mut stage = Stage::set(args, dialect, &scratch, folder.path(), reporter, cancel).await?;
    let outcome = stage.play().await;
    if args.keep {
        let _ = folder.keep();
        reporter.hint("the folder and the database are kept");
    } else if let Some((url, sql)) = &scratch.drop {
        dialect.attach(url, "zdmig").await?.client.script(sql).await?;
    }
    outcome
}

/// The table, the project's folder and the two applications.
struct Stage<'a> {
    settings: Settings,
    reporter: &'a mut Reporter,
    cancel: &'a CancellationToken,
    ledger: Arc<Ledger>,
    phase: Arc<AtomicUsize>,
    app: App,
    old: Done,
    new: Done,
    checker: Box<dyn Client>,
}

impl<'a> Stage<'a> {
    async fn set(
        args: &Args,
        dialect: &'static dyn Dialect,
        scratch: &Scratch,
        folder: &Path,
        reporter: &'a mut Reporter,
        cancel: &'a CancellationToken,
    ) -> Result<Stage<'a>, Failure> {
        write_project(folder, scratch)?;
        let flags = Flags {
            database_url: Some(scratch.url.to_string()),
            migrations: Some(folder.join("migrations")),
            config: Some(folder.join("zdmig.toml")),
            ..Flags::default()
        };
        let mut settings = Settings::resolve(&flags, &|_| None)?;
        // The printed address has no password; the real one may need it.
        if let Some(setting) = &mut settings.database_url {
            setting.value = scratch.url.clone();
        }
        let ledger = Arc::new(Ledger::default());
        let phase = Arc::new(AtomicUsize::new(0));
        let mut checker = dialect.attach(&scratch.url, "shop@0#checker").await?.client;
        let seeded = i64::from(args.rows.max(100));
        seed(&mut *checker, &ledger, seeded).await?;
        let app = App {
            dialect,
            url: scratch.url.clone(),
            env: settings.env.value.clone(),
            version: Version::Old,
            ledger: ledger.clone(),
            phase: phase.clone(),
            seeded,
            first_turn: 0,
            pause: Duration::from_millis(2),
        };
        let (old, new) = (Done::default(), Done::default());
        drop(checker);
        let checker = dialect.attach(&scratch.url, "zdmig").await?.client;
        Ok(Stage { settings, reporter, cancel, ledger, phase, app, old, new, checker })
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            settings: self.settings.clone(),
            reporter: self.reporter,
            cancel: self.cancel,
            telemetry: Telemetry::default(),
            embedded: None,
            schema: None,
        }
    }

    fn start(&mut self, version: Version) -> Running {
        let app = App { version, ..self.app.clone() };
        self.app.first_turn += 700_000;
        app.start()
    }

    fn says(&mut self, text: &str) {
        let pen = self.reporter.pen();
        self.reporter.product(&format!("\n{}\n", pen.bold(&format!("── {text}"))));
    }

    fn types(&mut self, command: &str) {
        let pen = self.reporter.pen();
        self.reporter.product(&format!("\n{}\n", pen.dim(&format!("$ zdmig {command}"))));
    }

    fn enter(&self, phase: &str) {
        let at = PHASES.iter().position(|name| *name == phase).unwrap_or(0);
        self.phase.store(at, Ordering::Relaxed);
    }

    /// Runs a verb as if it had been typed.
    async fn verb(&mut self, line: &str) -> Result<Exit, Failure> {
        self.types(line);
        let words = std::iter::once("zdmig").chain(line.split_whitespace());
        let cli =
            super::Cli::try_parse_from(words).map_err(|error| Failure::usage(error.to_string()))?;
        let mut context = self.context();
        match cli.command {
            super::Command::Plan(args) => plan::run(&args, &mut context).await,
            super::Command::Expand(args) => expand::run(&args, &mut context).await,
            super::Command::Backfill(args) => backfill::run(&args, &mut context).await,
            super::Command::Gate(args) => gate::run(&args, &mut context).await,
            super::Command::Deploy(args) => deploy::run(&args, &mut context).await,
            super::Command::Contract(args) => contract::run(&args, &mut context).await,
            super::Command::Restore(args) => restore::run(&args, &mut context).await,
            super::Command::Purge(args) => purge::run(&args, &mut context).await,
            super::Command::Status(args) => status::run(&args, &mut context).await,
            _ => Ok(Exit::Bug),
        }
    }

    /// A verb that must succeed here.
    async fn must(&mut self, line: &str) -> Result<(), Failure> {
        match self.verb(line).await? {
            Exit::Done => Ok(()),
            exit => Err(Failure::new(exit, format!("`zdmig {line}` ended with {exit:?}"))),
        }
    }

    async fn play(&mut self) -> Result<Exit, Failure> {
        let rows = counted(self.app.seeded.unsigned_abs(), "user");
        self.says(&format!("{rows}; shop 1 is at work and knows `username`"));
        let usage = self.settings.config.value.with_file_name("shop-1.json");
        let old = self.start(Version::Old);
        self.must(&format!("deploy record --service shop --version 1 --usage {}", usage.display()))
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.must("plan").await?;

        self.enter("expand");
        self.must("expand").await?;
        self.says("shop 2 is deployed beside shop 1 and knows only `email`");
        let usage = self.settings.config.value.with_file_name("shop-2.json");
        let new = self.start(Version::New);
        let record = "deploy record --service shop --version 2 --keep-previous --usage";
        self.must(&format!("{record} {}", usage.display())).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;

        self.enter("backfill");
        self.must("backfill").await?;
        self.enter("gate");
        self.says("shop 1 is still alive, so the gate refuses");
        if self.verb("gate rename_username").await? != Exit::GateRefuse {
            return Err(Failure::new(Exit::Bug, "the gate did not refuse"));
        }
        self.says("shop 1 drains and is gone");
        self.old.add(old.drain().await);
        self.must("deploy end --service shop --version 1").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;

        self.enter("contract");
        self.must("contract rename_username").await?;
        self.says("second thoughts: shop 1 comes back, and misses nothing that shop 2 wrote");
        self.enter("restore");
        self.must("restore rename_username").await?;
        let old = self.start(Version::Old);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.old.add(old.drain().await);
        let lost = self.ledger.missing_meanwhile(&mut *self.checker, "username").await?;
        self.old.lost += lost.len() as u64;
        self.says("shop 1 is gone for good");
        self.enter("contract");
        self.must("contract rename_username").await?;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        self.enter("purge");
        self.must("purge rename_username").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.new.add(new.drain().await);
        self.must("status").await?;
        self.close().await
    }

    /// The closing table, and the verdict.
    async fn close(&mut self) -> Result<Exit, Failure> {
        let missing = self.ledger.missing(&mut *self.checker, "email").await?;
        let of = |version: Version| {
            // The row's writer has its parity; a row that nobody knows is nobody's.
            let parity = i64::from(version == Version::New);
            missing.iter().filter(|one| one.id.rem_euclid(2) == parity).count() as u64
        };
        self.old.lost += of(Version::Old);
        self.new.lost += of(Version::New);
        self.says("what the applications saw");
        let mut rows = Vec::new();
        for (name, done) in [("shop 1 (username)", &self.old), ("shop 2 (email)", &self.new)] {
            let numbers = [done.statements, done.failed, done.lost].map(grouped);
            rows.push([vec![name.to_owned()], numbers.to_vec()].concat());
        }
        let head = ["application", "statements>", "failed>", "lost>"];
        self.reporter.product(&format!("\n{}\n", table(&head, rows)));
        self.reporter.product(&self.times());
        if let Some((rows, took)) = self.reporter.filled() {
            #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
            let rate = rows as f64 / took.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate for a person"
            )]
            let rate = grouped(rate as u64);
            let rows = counted(rows, "row");
            self.reporter
                .product(&format!("\nfilled {rows} in {}: {rate} a second\n", duration(took)));
        }
        let (failed, lost) = (self.old.failed + self.new.failed, self.old.lost + self.new.lost);
        if failed + lost == 0 {
            let pen = self.reporter.pen();
            let text = "no statement failed, and no write was lost";
            self.reporter.product(&format!("{}\n", pen.good(text)));
            return Ok(Exit::Done);
        }
        let error = self.old.first_error.clone().or(self.new.first_error.clone());
        let first = missing.first().map(|one| format!("{one:?}"));
        let example = error.or(first).unwrap_or_default();
        let message = format!("{failed} statements failed and {lost} writes were lost: {example}");
        Err(Failure::new(Exit::Bug, message))
    }

    fn times(&self) -> String {
        let mut rows = Vec::new();
        for (at, phase) in PHASES.iter().enumerate() {
            for version in [Version::Old, Version::New] {
                let times = self.ledger.times(version.number(), at);
                if times.is_empty() {
                    continue;
                }
                let nth = |percent: usize| duration(times[(times.len() - 1) * percent / 100]);
                rows.push(vec![
                    (*phase).to_owned(),
                    format!("shop {}", version.number()),
                    grouped(times.len() as u64),
                    nth(50),
                    nth(99),
                    nth(100),
                ]);
            }
        }
        table(&["phase", "application", "statements>", "p50>", "p99>", "longest>"], rows)
    }
}

/// The project that a user would have: a migration, a configuration, two manifests.
fn write_project(folder: &Path, scratch: &Scratch) -> Result<(), Failure> {
    let mut config = String::from(
        "soak = \"1s\"\nheartbeat_ttl = \"2s\"\ndrain = \"500ms\"\n\n[[consumer]]\nname = \"shop\"\n",
    );
    let quoted = |text: &String| serde_json::Value::String(text.clone()).to_string();
    let roles: Vec<_> = scratch.role.iter().map(quoted).collect();
    config.push_str(&format!("roles = [{}]\n", roles.join(", ")));
    for role in &scratch.others {
        let role = quoted(role);
        config
            .push_str(&format!("\n[[waive]]\nrole = {role}\nreason = \"not part of the demo\"\n"));
    }
    let manifest = |version: u8, column: &str| {
        format!(
            "{{\"zdmig_usage\": 1, \"service\": \"shop\", \"version\": \"{version}\", \"complete\": true,\n \
             \"items\": [{{\"table\": \"users\", \"read\": [\"id\", \"{column}\"], \
             \"write\": [\"id\", \"{column}\"]}}]}}\n"
        )
    };
    let files = [
        (format!("migrations/{FILE}"), MIGRATION.to_owned()),
        ("zdmig.toml".into(), config),
        ("shop-1.json".into(), manifest(1, "username")),
        ("shop-2.json".into(), manifest(2, "email")),
    ];
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot write: {error}"));
    std::fs::create_dir_all(folder.join("migrations")).map_err(cannot)?;
    for (name, text) in files {
        std::fs::write(folder.join(name), text).map_err(cannot)?;
    }
    Ok(())
}

async fn seed(client: &mut dyn Client, ledger: &Ledger, rows: i64) -> Result<(), Failure> {
    client.script(SCHEMA).await?;
    let sql = "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < $1) \
               INSERT INTO users (id, username, bio) \
               SELECT id, 'user ' || id, 'something about them, as people write it' FROM n";
    client.run(sql, &[Value::Int(rows)]).await?;
    for id in 1..=rows {
        ledger.seeded(id, format!("user {id}"));
    }
    client.script("ANALYZE").await?;
    Ok(())
}
