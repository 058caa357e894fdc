use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::phase::time;
use super::project;
use crate::plan::Phase;
use crate::report::Format;

/// Block until a migration has come this far; takes no lock, writes nothing
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name
    id: String,
    /// The phase that must be done
    #[arg(long = "for", value_enum, value_name = "PHASE", default_value = "backfilled")]
    until: Until,
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
    let phase = match args.until {
        Until::Expanded => Phase::Expand,
        Until::Backfilled => Phase::Backfill,
        Until::Contracted => Phase::Contract,
        Until::Purged => Phase::Purge,
    };
    let timeout = time("--timeout", &args.timeout)?;
    let files = project::files(context).unwrap_or_default();
    let begun = Instant::now();
    let mut session = context.connect().await?;
    loop {
        let journal = session.journal().await?;
        let known = journal.known();
        let id = project::one(&args.id, known.chain(files.iter().map(|file| &file.id)))?;
        let all = Phase::ALL.into_iter().filter(|one| *one <= phase);
        let done = journal
            .plan(&id)
            .is_some_and(|plan| all.into_iter().all(|one| journal.phase_done(plan, one)))
            || journal.adopted(&id).is_some();
        if done {
            if context.reporter.format() == Format::Json {
                let state = project::state(&id, &journal).0;
                context
                    .reporter
                    .json(&serde_json::json!({ "zdmig_wait": 1, "migration": id, "state": state }));
            } else {
                context.reporter.product(&format!("{id} is {}\n", project::state(&id, &journal).0));
            }
            return Ok(Exit::Done);
        }
        if begun.elapsed() >= timeout {
            let state = project::state(&id, &journal);
            return Err(Failure::new(Exit::Busy, format!("`{id}` is still {}", state.0))
                .hint(format!("it goes on with: {}", state.1)));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = context.cancel.cancelled() => return Err(Failure::interrupted()),
        }
    }
}
