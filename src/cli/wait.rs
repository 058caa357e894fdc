use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::phase::time;
use super::project;
use crate::dialect::Session;
use crate::journal::Journal;
use crate::migration::MigrationId;
use crate::plan::Phase;
use crate::report::Format;

/// Block until migrations have come this far; takes no lock, writes nothing
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all that have a file without one
    pub(super) id: Option<String>,
    /// The phase that must be done
    #[arg(long = "for", value_enum, value_name = "PHASE", default_value = "backfilled")]
    until: Until,
    /// Only until the database answers
    #[arg(long, conflicts_with_all = ["id", "until"])]
    pub(super) for_database: bool,
    /// How long to wait, at most
    #[arg(long, value_name = "TIME", default_value = "10m")]
    timeout: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Until {
    Expanded,
    Backfilled,
    Contracted,
    Purged,
}

const POLL: Duration = Duration::from_millis(500);

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let last = match args.until {
        Until::Expanded => Phase::Expand,
        Until::Backfilled => Phase::Backfill,
        Until::Contracted => Phase::Contract,
        Until::Purged => Phase::Purge,
    };
    let limit = Limit { begun: Instant::now(), timeout: time("--timeout", &args.timeout)? };
    let mut session = reached(&limit, context).await?;
    if args.for_database {
        let url = context.url()?.to_string();
        if context.reporter.format() == Format::Json {
            let answer = serde_json::json!({ "zdmig_wait": 1, "database": url });
            context.reporter.json(&answer);
        } else {
            context.reporter.product(&format!("{url} answers\n"));
        }
        return Ok(Exit::Done);
    }
    loop {
        let journal = match context.journal(&mut *session).await {
            Ok(journal) => journal,
            Err(error) if error.is_lost() && !limit.is_over() => {
                session = reached(&limit, context).await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let wanted = wanted(args, &journal, context)?;
        let Some(late) = wanted.iter().find(|id| !is_past(id, last, &journal)) else {
            report(&wanted, &journal, context);
            return Ok(Exit::Done);
        };
        if limit.is_over() {
            let state = project::state(late, &journal);
            return Err(Failure::new(Exit::Busy, format!("`{late}` is still {}", state.0))
                .hint(format!("it goes on with: {}", state.1)));
        }
        limit.rest(context).await?;
    }
}

struct Limit {
    begun: Instant,
    timeout: Duration,
}

impl Limit {
    fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.timeout
    }

    async fn rest(&self, context: &Context<'_>) -> Result<(), Failure> {
        tokio::select! {
            () = tokio::time::sleep(POLL) => Ok(()),
            () = context.cancel.cancelled() => Err(Failure::interrupted()),
        }
    }
}

/// A connection, as soon as there is one; one through a pooler will do. Why there is none yet is
/// said once: a wrong password is waited for in vain, and nobody else can tell it from a server
/// that starts.
async fn reached(limit: &Limit, context: &mut Context<'_>) -> Result<Box<dyn Session>, Failure> {
    let mut told = String::new();
    loop {
        let failure = match context.connect_through(true).await {
            Ok(session) => return Ok(session),
            Err(failure) if !failure.is_unreachable() || limit.is_over() => return Err(failure),
            Err(failure) => failure,
        };
        if told != failure.message() {
            context.reporter.narrate(&format!("waiting: {}", failure.message()));
            failure.message().clone_into(&mut told);
        }
        limit.rest(context).await?;
    }
}

fn wanted(
    args: &Args,
    journal: &Journal,
    context: &Context<'_>,
) -> Result<Vec<MigrationId>, Failure> {
    let Some(short) = &args.id else {
        let files = project::files(context)?;
        if files.is_empty() {
            let folder = context.settings.migrations.value.display();
            return Err(Failure::usage(format!("there is no migration in `{folder}`"))
                .hint("is it the right folder? --migrations says another"));
        }
        return Ok(files.into_iter().map(|file| file.id).collect());
    };
    let files = project::files(context).unwrap_or_default();
    let known = journal.known().chain(files.iter().map(|file| &file.id));
    Ok(vec![project::one(short, known)?])
}

/// Whether a migration has every phase up to one behind it.
fn is_past(id: &MigrationId, last: Phase, journal: &Journal) -> bool {
    let phases = || Phase::ALL.into_iter().filter(|one| *one <= last);
    journal.adopted(id).is_some()
        || journal.plan(id).is_some_and(|plan| phases().all(|one| journal.phase_done(plan, one)))
}

fn report(wanted: &[MigrationId], journal: &Journal, context: &mut Context<'_>) {
    let state = |id: &MigrationId| project::state(id, journal).0;
    if context.reporter.format() == Format::Json {
        let answer = match wanted {
            [id] => serde_json::json!({ "zdmig_wait": 1, "migration": id, "state": state(id) }),
            all => serde_json::json!({ "zdmig_wait": 1, "migrations": all }),
        };
        return context.reporter.json(&answer);
    }
    let text = match wanted {
        [id] => format!("{id} is {}\n", state(id)),
        all => format!("all {} migrations have come this far\n", all.len()),
    };
    context.reporter.product(&text);
}
