//! `zdmig rehearse`: a migration before its time, on a database that is thrown away, with an application's
//! statements on it throughout.

mod act;
mod prepare;
mod statements;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::phase::time;
use super::{plan, project};
use crate::dialect::{self, DatabaseUrl, Fact, Observer, Stage};
use crate::plan::Plan;
use crate::rehearsal::{Budget, Rehearsal, Script};
use crate::report::{
    Format, render_rehearsal, render_rehearsal_html, render_rehearsal_json,
    render_rehearsal_markdown,
};

/// Run every phase on a database that is thrown away, with an application's statements on it, and say what
/// they felt
///
/// There and back: expand, rollback, expand, backfill, rollback, again, contract, restore, contract, purge. On
/// a server of its own that is booted from the programs on this machine, with the schema of the database and
/// rows that are made up by its statistics; or where --scratch or --template say. The database itself is only
/// read, and told the result. Ends with 10 where a budget is broken.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name
    pub(super) id: String,
    /// What the application does, as a script in pgbench's form; several times for several, each with
    /// `@WEIGHT` behind it if you like. Those that need what expand adds are new code, and begin when all is
    /// filled; those that use what contract takes away are old code, and end before it
    #[arg(long, value_name = "FILE", required_unless_present = "from_statements")]
    workload: Vec<String>,
    /// Take the statements that ran most on the database, by pg_stat_statements, with values that their
    /// columns have
    #[arg(long)]
    from_statements: bool,
    /// Copy rows of the database: at most --rows of each table that is touched, and all that they point to. They are
    /// gone when it is over, but for those in --scratch, which stay there
    #[arg(long, conflicts_with = "template")]
    sample: bool,
    /// How many rows to make up in each table that is touched and empty, or to copy, as 1000000 or 1e6
    #[arg(long, value_name = "N", default_value = "100000", value_parser = count)]
    rows: u64,
    /// Requests a second, of all scripts together
    #[arg(long, value_name = "N", default_value = "200", value_parser = positive)]
    rate: f64,
    /// How many requests can be under way at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=200))]
    connections: u32,
    /// What the backfill may cost the application: gentle, default or fast
    #[arg(long, value_name = "NAME")]
    pub(super) pace: Option<String>,
    /// How long to look at each phase after its work is done
    #[arg(long, value_name = "TIME", default_value = "10s")]
    hold: String,
    /// A database to rehearse in instead, empty or with rows of yours, or `env:NAME` of a variable that holds its
    /// address; it is left changed
    #[arg(long, value_name = "URL", conflicts_with = "template")]
    scratch: Option<String>,
    /// A database of the same server to copy and rehearse in, by its name; nobody may be connected to it
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// How many times the p99 from before a phase's p99 may be [default: 2, or `max_p99_ratio` of the file]
    #[arg(long, value_name = "X", value_parser = positive)]
    max_p99_ratio: Option<f64>,
    /// How long a request may wait for a lock [default: 1s, or `max_lock_wait` of the file]
    #[arg(long, value_name = "TIME")]
    max_lock_wait: Option<String>,
    /// How many requests may fail [default: 0, or `max_errors` of the file]
    #[arg(long, value_name = "N")]
    max_errors: Option<u64>,
    /// Write the report there as well, in the form of its ending: .html, .md or .json; several times for several
    #[arg(short, long, value_name = "FILE")]
    output: Vec<PathBuf>,
    /// Leave nothing about it in the database
    #[arg(long)]
    no_record: bool,
}

/// `1000000`, `1_000_000` or `1e6`.
fn count(text: &str) -> Result<u64, String> {
    let plain = text.replace('_', "");
    let (digits, zeros) = plain.split_once(['e', 'E']).unwrap_or((&plain, "0"));
    let whole = digits.parse::<u64>().ok().zip(zeros.parse::<u32>().ok());
    whole
        .and_then(|(digits, zeros)| digits.checked_mul(10_u64.checked_pow(zeros)?))
        .filter(|rows| (1..=1_000_000_000).contains(rows))
        .ok_or_else(|| "write it like 100000 or 1e6".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "write it like 200 or 1.5".to_owned())
}

impl Args {
    fn budget(&self, common: Budget) -> Result<Budget, Failure> {
        let wait =
            self.max_lock_wait.as_ref().map(|text| time("--max-lock-wait", text)).transpose()?;
        Ok(Budget {
            p99_ratio: self.max_p99_ratio.unwrap_or(common.p99_ratio),
            lock_wait: wait.unwrap_or(common.lock_wait),
            errors: self.max_errors.unwrap_or(common.errors),
        })
    }

    fn hold(&self) -> Result<Duration, Failure> {
        time("--hold", &self.hold)
    }
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (budget, hold) = (args.budget(context.settings.budget())?, args.hold()?);
    let files = project::files(context)?;
    let id = project::one(&args.id, files.iter().map(|file| &file.id))?;
    let scripts = prepare::scripts(&args.workload)?;
    let outputs = args.output.iter().map(|path| Ok((path, form(path)?)));
    let outputs = outputs.collect::<Result<Vec<_>, Failure>>()?;
    let mut session = context.connect().await?;
    let plans = plan::pending_up_to(&id, files, &mut *session, context).await?;
    drop(session);
    let folder = prepare::folder()?;
    let stage = prepare::stage(args, folder.path(), context).await?;
    let drop = stage.drop.clone();
    let done = rehearsed(args, stage, scripts, (&plans, hold), context).await;
    // A database that was made for it goes, whatever came of it.
    if let Some((url, sql)) = drop
        && let Err(failure) = discard(&url, &sql).await
    {
        let why = failure.message();
        context
            .reporter
            .warn(&format!("what was made for it on {url} is still there: {why}; run: {sql}"));
    }
    let mut rehearsal = done.map_err(fails)?;
    rehearsal.judge(budget);
    for (path, form) in outputs {
        std::fs::write(path, form(&rehearsal)).map_err(|error| {
            Failure::usage(format!("cannot write `{}`: {error}", path.display()))
        })?;
    }
    if !args.no_record {
        record(&rehearsal, context).await;
    }
    let text = match context.reporter.format() {
        Format::Json => render_rehearsal_json(&rehearsal),
        Format::Markdown => render_rehearsal_markdown(&rehearsal),
        Format::Html => render_rehearsal_html(&rehearsal),
        _ => render_rehearsal(&rehearsal, context.reporter.pen()),
    };
    context.reporter.product(&text);
    Ok(if rehearsal.passed() { Exit::Done } else { Exit::Refused })
}

/// Everything that is done in the database that was made for it.
async fn rehearsed(
    args: &Args,
    stage: Stage,
    scripts: Vec<Script>,
    (plans, hold): (&[Plan], Duration),
    context: &mut Context<'_>,
) -> Result<Rehearsal, Failure> {
    let cancel = context.cancel;
    let theatre = tokio::select! {
        theatre = prepare::theatre(args, plans, scripts, stage, context) => theatre?,
        () = cancel.cancelled() => return Err(Failure::interrupted()),
    };
    act::run(theatre, plans, hold, context).await
}

/// A step that fails here is what a rehearsal is for: an answer, and nothing to go on with. Nor is there where it was
/// interrupted.
fn fails(failure: Failure) -> Failure {
    match failure.exit() {
        Exit::StepFailed => {}
        Exit::Interrupted => {
            let what = "interrupted; the database itself is as it was";
            return Failure::new(Exit::Interrupted, what);
        }
        _ => return failure,
    }
    let what = format!("the migration fails in the rehearsal: {}", failure.message());
    Failure::new(Exit::Refused, what).hint("mend the file; the database itself is as it was")
}

async fn discard(url: &DatabaseUrl, sql: &str) -> Result<(), Failure> {
    Ok(dialect::for_url(url)?.attach(url, "zdmig").await?.client.script(sql).await?)
}

type Form = fn(&Rehearsal) -> String;

/// The form that a file's ending asks for.
fn form(path: &Path) -> Result<Form, Failure> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => Ok(render_rehearsal_html),
        Some("md") => Ok(render_rehearsal_markdown),
        Some("json") => Ok(render_rehearsal_json),
        _ => Err(Failure::usage(format!(
            "`{}` ends with none of .html, .md and .json",
            path.display()
        ))),
    }
}

/// What the latest rehearsal of this very plan found, if there was one.
pub(super) async fn latest(
    observer: &mut dyn Observer,
    plan: &Plan,
) -> Result<Option<Rehearsal>, Failure> {
    let all = observer.rehearsals(&plan.migration.to_string()).await?;
    // What a later zdmig wrote in another form is none that this one knows of.
    let mut known = all.iter().filter_map(|text| serde_json::from_str::<Rehearsal>(text).ok());
    Ok(known.rfind(|found| found.plan == plan.fingerprint.as_str()))
}

/// Tells the database, so that plans and the checklist know of it. Whoever may not write there has rehearsed all
/// the same.
async fn record(rehearsal: &Rehearsal, context: &mut Context<'_>) {
    let report = render_rehearsal_json(rehearsal);
    let fact = Fact::Rehearsed {
        migration: &rehearsal.migration,
        fingerprint: &rehearsal.plan,
        report: &report,
    };
    let told = async {
        let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
        observer.record(&fact).await.map_err(Failure::from)
    };
    if let Err(failure) = told.await {
        let why = failure.message();
        context
            .reporter
            .warn(&format!("the rehearsal is not on record, so plans do not show it: {why}"));
    }
}
