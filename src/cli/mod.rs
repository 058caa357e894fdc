//! Floor 9: one verb, one file. Each has its arguments and a `run`.

mod adopt;
mod apart;
mod apply;
mod approval;
mod approve;
mod backfill;
mod baseline;
mod brownout;
mod can_deploy;
mod check;
mod context;
mod contract;
mod demo;
mod deploy;
mod doctor;
mod evidence;
mod exit;
mod expand;
mod failure;
mod fence;
mod gate;
mod generate;
mod heartbeat;
mod history;
mod later;
mod library;
mod matrix;
mod new;
mod observe;
mod pause;
mod phase;
mod plan;
mod project;
mod purge;
mod rehearse;
mod restore;
mod resume;
mod rollback;
mod schemas;
mod snapshot;
mod status;
mod steer;
mod tune;
mod usage;
mod verify;
mod wait;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::config::{Flags, Settings};
use crate::report::{Color, Format, Reporter};
use crate::telemetry::{Telemetry, TelemetryOptions};
pub use exit::render_exit_codes;
pub use library::{Failed, Phased, Zdmig};

use apart::Scope;
use context::{Context, owner};
use failure::{Exit, Failure};
use schemas::SchemasArgs;

/// Schema changes without downtime: expand, backfill, contract, and a gate that proves that
/// no running version uses what contract removes.
#[derive(Clone, Debug, Parser)]
#[command(name = "zdmig", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// The database: `postgres://user@host/name` or `sqlite://file.db`. Environment:
    /// ZDMIG_DATABASE_URL, else DATABASE_URL
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The folder of the migration files [default: migrations]
    #[arg(long, global = true, value_name = "DIR")]
    migrations: Option<PathBuf>,
    /// The configuration file [default: zdmig.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The environment, a section in the configuration [default: production]
    #[arg(long, global = true, value_name = "NAME")]
    env: Option<String>,
    /// The form of what is printed on stdout
    #[arg(long, global = true, value_enum, default_value = "human")]
    format: FormatArg,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value = "auto")]
    color: ColorArg,
    /// Tell more
    #[arg(short, long, global = true)]
    verbose: bool,
    /// How long one statement may wait for a lock [default: 500ms]
    #[arg(long, global = true, value_name = "TIME")]
    lock_timeout: Option<String>,
    /// How long a step goes on trying for its lock [default: 10m]
    #[arg(long, global = true, value_name = "TIME")]
    lock_wait_max: Option<String>,
    #[command(flatten)]
    schemas: SchemasArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Human,
    Json,
    /// Of `plan`, `check`, `gate` and `rehearse`
    Markdown,
    /// Of `plan`, `gate` and `rehearse`
    Html,
    /// Of `check`: for code scanning
    Sarif,
    /// Of `check`: for GitLab's code quality
    Gitlab,
    /// Of `check`: annotations of GitHub's workflows
    Github,
    /// Of `check`: for whatever reads test results
    Junit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ColorArg {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    New(new::Args),
    Check(check::Args),
    Plan(plan::Args),
    Snapshot(snapshot::Args),
    Rehearse(rehearse::Args),
    Approve(approve::Args),
    Expand(expand::Args),
    Backfill(backfill::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Tune(tune::Args),
    Gate(gate::Args),
    CanDeploy(can_deploy::Args),
    Matrix(matrix::Args),
    #[command(subcommand)]
    Observe(observe::Command),
    #[command(subcommand)]
    Deploy(deploy::Command),
    #[command(subcommand)]
    Release(deploy::Release),
    #[command(subcommand)]
    Usage(usage::Command),
    Heartbeat(heartbeat::Args),
    Brownout(brownout::Args),
    Contract(contract::Args),
    Restore(restore::Args),
    Purge(purge::Args),
    Rollback(rollback::Args),
    Status(status::Args),
    History(history::Args),
    Doctor(doctor::Args),
    Wait(wait::Args),
    Apply(apply::Args),
    Baseline(baseline::Args),
    Adopt(adopt::Args),
    Demo(demo::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// Parses the command line, runs the verb, and tells the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // A closed pipe is the only way in which this fails; nobody is left to be told.
            let _ = error.print();
            return code.into();
        }
    };
    let runtime = runtime();
    let mut reporter = reporter(&cli.global);
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run(cli, &mut reporter));
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            reporter.error(&format!("the runtime does not start: {error}"));
            Exit::Bug
        }
    };
    match reporter.finish() {
        Err(error) if exit == Exit::Done => {
            reporter.error(&format!("stdout does not take what zdmig prints: {error}"));
            reporter.hint("the database is as the command left it; `zdmig status` shows it again");
            Exit::Usage.into()
        }
        _ => exit.into(),
    }
}

/// What a verb runs on.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

#[expect(clippy::disallowed_methods, reason = "the command line is where the environment comes in")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn reporter(global: &Global) -> Reporter {
    let format = match global.format {
        FormatArg::Human => Format::Human,
        FormatArg::Json => Format::Json,
        FormatArg::Markdown => Format::Markdown,
        FormatArg::Html => Format::Html,
        FormatArg::Sarif => Format::Sarif,
        FormatArg::Gitlab => Format::Gitlab,
        FormatArg::Github => Format::Github,
        FormatArg::Junit => Format::Junit,
    };
    let color = match global.color {
        ColorArg::Auto => Color::Auto,
        ColorArg::Always => Color::Always,
        ColorArg::Never => Color::Never,
    };
    Reporter::new(format, color, global.verbose, variable("NO_COLOR").is_some())
}

async fn run(cli: Cli, reporter: &mut Reporter) -> Exit {
    if let Some(filter) = variable("ZDMIG_LOG") {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        log.init();
    }
    let cancel = CancellationToken::new();
    let stopped = stop_signals(cancel.clone());
    let outcome = tokio::select! {
        outcome = dispatch(cli, Scope::default(), reporter, &cancel) => outcome,
        () = stopped => Err(Failure::interrupted()),
    };
    match outcome {
        Ok(exit) => exit,
        Err(failure) => failure.tell(reporter),
    }
}

/// Ends when a second signal to stop comes; the first asks for a safe point.
async fn stop_signals(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if cancel.is_cancelled() {
            return;
        }
        cancel.cancel();
    }
}

/// Whether the verb answers in the form that is asked for.
fn speaks(cli: &Cli) -> Result<(), Failure> {
    let speaks = match cli.global.format {
        FormatArg::Human | FormatArg::Json => true,
        FormatArg::Markdown => matches!(
            cli.command,
            Command::Gate(_) | Command::Check(_) | Command::Plan(_) | Command::Rehearse(_)
        ),
        FormatArg::Html => {
            matches!(cli.command, Command::Gate(_) | Command::Plan(_) | Command::Rehearse(_))
        }
        FormatArg::Sarif | FormatArg::Gitlab | FormatArg::Github | FormatArg::Junit => {
            matches!(cli.command, Command::Check(_))
        }
    };
    if !speaks {
        return Err(Failure::usage("this verb does not answer in that form")
            .hint("use --format human or json; markdown is of `plan`, `check`, `gate` and `rehearse`, html of `plan`, `gate` and `rehearse`, the others of `check`"));
    }
    Ok(())
}

async fn dispatch(
    cli: Cli,
    scope: Scope,
    reporter: &mut Reporter,
    cancel: &CancellationToken,
) -> Result<Exit, Failure> {
    speaks(&cli)?;
    let mut flags = Flags {
        database_url: cli.global.database_url.clone(),
        migrations: cli.global.migrations.clone(),
        config: cli.global.config.clone(),
        env: cli.global.env.clone(),
        lock_timeout: cli.global.lock_timeout.clone(),
        lock_wait_max: cli.global.lock_wait_max.clone(),
        schemas: cli.global.schemas.schemas.clone(),
        pace: None,
        soak: None,
        metrics_listen: None,
    };
    match &cli.command {
        Command::Completions(args) => {
            return Ok(generate::completions(args, Cli::command(), reporter));
        }
        Command::Man(args) => return generate::man(args, &Cli::command(), reporter),
        Command::Expand(args) => flags.metrics_listen.clone_from(&args.metrics_listen),
        Command::Backfill(args) => {
            flags.pace.clone_from(&args.pace);
            flags.metrics_listen.clone_from(&args.metrics_listen);
        }
        Command::Rehearse(args) => flags.pace.clone_from(&args.pace),
        Command::Contract(args) => flags.soak.clone_from(&args.soak),
        Command::Purge(args) => flags.soak.clone_from(&args.soak),
        Command::Demo(args) => return demo::run(args, &flags, reporter, cancel).await,
        _ => {}
    }
    let mut settings = Settings::resolve(&flags, &variable)?;
    if scope.schema.is_some() {
        // One address cannot be listened on for each of several.
        settings.metrics_listen = None;
    }
    for name in &settings.unknown {
        let file = settings.config.value.display();
        reporter.warn(&format!("`{name}` in {file} is no setting of zdmig, and is not used"));
    }
    let of_several = scope.schema.is_some();
    let schema = scope.schema.clone().or_else(|| schema_of(&cli.command));
    if schema.is_none() && settings.schemas.is_some() {
        if schemas::verb(&cli.command).is_some() {
            return schemas::in_each(cli, &scope, &settings, reporter, cancel).await;
        }
        if cli.global.schemas.schemas.is_some() && !matches!(cli.command, Command::Status(_)) {
            return Err(Failure::usage("this verb does not go over schemas")
                .hint("name one migration in one schema, as `1_rename@tenant_a`"));
        }
    }
    let telemetry = telemetry(&cli.command, &settings)?;
    if let Some(address) = telemetry.metrics_address() {
        reporter.narrate(&format!("metrics are served at {address}"));
    }
    let embedded = scope.embedded;
    let mut context = Context { settings, reporter, cancel, telemetry, embedded, schema };
    let outcome = tried(cli.command, of_several, &mut context).await;
    let telemetry = std::mem::take(&mut context.telemetry);
    let ending = outcome.as_ref().err().map(Failure::ending);
    for warning in telemetry.close(ending).await {
        context.reporter.warn(&warning);
    }
    outcome
}

/// Runs a verb, and makes of its end what was asked for.
async fn tried(
    command: Command,
    of_several: bool,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    if let Some(schema) = &context.schema {
        let verifies = matches!(&command, Command::Plan(args) if args.verify);
        schemas::fits(schema, verifies, context).await?;
    }
    let only_tries = match &command {
        Command::Backfill(args) => args.later.tries,
        Command::Contract(args) => args.later.tries,
        Command::Purge(args) => args.later.tries,
        _ => false,
    };
    let outcome = match verb(command, context).await {
        // In one of several schemas it may be done already, or not begun.
        Err(failure) if of_several && failure.is_idle() => {
            if context.reporter.format() == Format::Human {
                context.reporter.product("nothing to do\n");
            }
            Ok(Exit::Done)
        }
        outcome => outcome,
    };
    if only_tries { later::tried(outcome, context.reporter) } else { outcome }
}

/// The schema of an id like `1_rename@tenant_a`.
fn schema_of(command: &Command) -> Option<String> {
    let id = match command {
        Command::Plan(args) => args.id.as_ref(),
        Command::Approve(args) => Some(&args.id),
        Command::Rehearse(args) => Some(&args.id),
        Command::Expand(args) => args.id.as_ref(),
        Command::Backfill(args) => args.id.as_ref(),
        Command::Gate(args) => Some(&args.id),
        Command::Brownout(args) => Some(&args.id),
        Command::Contract(args) => args.id.as_ref(),
        Command::Restore(args) => Some(&args.id),
        Command::Purge(args) => args.id.as_ref(),
        Command::Rollback(args) => args.id.as_ref(),
        Command::Wait(args) => args.id.as_ref(),
        Command::Baseline(args) => args.id.as_ref(),
        Command::Adopt(args) => args.accept.first(),
        _ => None,
    };
    id.and_then(|id| id.split_once('@')).map(|(_, schema)| schema.to_owned())
}

/// Who is told of what a verb does, where it changes a database.
fn telemetry(command: &Command, settings: &Settings) -> Result<Telemetry, Failure> {
    // An `apply` is for databases that nobody watches.
    let (verb, posts) = match command {
        Command::Expand(_) => ("expand", true),
        Command::Backfill(_) => ("backfill", true),
        Command::Contract(_) => ("contract", true),
        Command::Purge(_) => ("purge", true),
        Command::Restore(_) => ("restore", false),
        Command::Rollback(_) => ("rollback", false),
        Command::Apply(_) => ("apply", false),
        _ => return Ok(Telemetry::default()),
    };
    let listen =
        settings.metrics_listen.as_ref().filter(|_| ["expand", "backfill"].contains(&verb));
    let webhook = settings.webhook.as_ref().filter(|_| posts);
    let options = TelemetryOptions {
        verb,
        env: &settings.env.value,
        owner: &owner(),
        metrics_listen: listen.map(|setting| setting.value.as_str()),
        webhook: webhook.map(|setting| (setting.value.reveal(), settings.stalled_after.value)),
        variable: &variable,
    };
    Telemetry::open(&options).map_err(|error| {
        Failure::usage(error.to_string()).hint("give another address with --metrics-listen")
    })
}

async fn verb(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::New(args) => new::run(&args, context),
        Command::Check(args) => check::run(&args, context),
        Command::Plan(args) => plan::run(&args, context).await,
        Command::Snapshot(args) => snapshot::run(&args, context).await,
        Command::Rehearse(args) => rehearse::run(&args, context).await,
        Command::Approve(args) => approve::run(&args, context).await,
        Command::Expand(args) => expand::run(&args, context).await,
        Command::Backfill(args) => backfill::run(&args, context).await,
        Command::Pause(args) => pause::run(&args, context).await,
        Command::Resume(args) => resume::run(&args, context).await,
        Command::Tune(args) => tune::run(&args, context).await,
        Command::Gate(args) => gate::run(&args, context).await,
        Command::CanDeploy(args) => can_deploy::run(&args, context).await,
        Command::Matrix(args) => matrix::run(&args, context).await,
        Command::Observe(command) => observe::run(&command, context).await,
        Command::Deploy(command) => deploy::run(&command, context).await,
        Command::Release(command) => deploy::release(&command, context).await,
        Command::Usage(command) => usage::run(&command, context).await,
        Command::Heartbeat(args) => heartbeat::run(&args, context).await,
        Command::Brownout(args) => brownout::run(&args, context).await,
        Command::Contract(args) => contract::run(&args, context).await,
        Command::Restore(args) => restore::run(&args, context).await,
        Command::Purge(args) => purge::run(&args, context).await,
        Command::Apply(args) => apply::run(&args, context).await,
        Command::Baseline(args) => baseline::run(&args, context).await,
        Command::Adopt(args) => adopt::run(&args, context).await,
        Command::Rollback(args) => rollback::run(&args, context).await,
        Command::Status(args) => status::run(&args, context).await,
        Command::History(args) => history::run(&args, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Wait(args) => wait::run(&args, context).await,
        Command::Demo(_) | Command::Completions(_) | Command::Man(_) => Ok(Exit::Done),
    }
}
