use super::context::{Context, start};
use super::failure::{Exit, Failure};
use super::phase::{Tally, WaitArgs, past};
use super::project;
use crate::journal::Journal;
use crate::migration::MigrationId;
use crate::plan::{Phase, Plan};
use crate::report::Format;

/// Fill the rows that exist, prove it, then build indexes and constraints
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all that are expanded without one
    id: Option<String>,
    /// What it may cost the application: gentle, default or fast
    #[arg(long, value_name = "NAME")]
    pub(super) pace: Option<String>,
    /// How many workers fill at the same time, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    workers: u8,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let files = project::files(context)?;
    let mut session = context.connect().await?;
    let journal = session.journal().await?;
    project::fitting(&files, &journal)?;
    let wanted = match &args.id {
        Some(short) => Some(project::one(short, files.iter().map(|file| &file.id))?),
        None => None,
    };
    if let Some(id) = &wanted
        && journal.plan(id).is_none()
    {
        return Err(Failure::usage(format!("`{id}` is not expanded yet"))
            .hint(format!("zdmig expand {id}")));
    }
    let todo = open(&journal, wanted.as_ref());
    if todo.is_empty() {
        if context.reporter.format() == Format::Json {
            context
                .reporter
                .json(&serde_json::json!({ "zdmig_phase": 1, "phase": "backfill", "steps": 0 }));
        } else {
            context.reporter.product("nothing to backfill\n");
        }
        return Ok(Exit::Done);
    }
    for plan in &todo {
        one(plan, &mut *session, args, context)
            .await
            .map_err(|failure| failure.resumed_by(&format!("zdmig backfill {}", plan.migration)))?;
        session = context.connect().await?;
    }
    Ok(Exit::Done)
}

fn open(journal: &Journal, wanted: Option<&MigrationId>) -> Vec<Plan> {
    journal
        .plans()
        .filter(|plan| match wanted {
            Some(id) => plan.migration == *id,
            None => journal.phase_done(plan, Phase::Expand),
        })
        .filter(|plan| !journal.phase_done(plan, Phase::Backfill))
        .cloned()
        .collect()
}

async fn one(
    plan: &Plan,
    session: &mut dyn crate::dialect::Session,
    args: &Args,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let server = session.catalog().await?.server;
    let single = context.dialect()?.capabilities(&server).single_writer;
    if single && args.workers > 1 {
        let message =
            format!("`--workers {}`: this database has one writer at a time", args.workers);
        return Err(Failure::usage(message).hint("leave it out".to_owned()));
    }
    let mut options = context.engine_options(single);
    options.workers = usize::from(args.workers);
    let mut tally = Tally::default();
    let reporter = &mut *context.reporter;
    let mut hear = |event: crate::engine::Event<'_>| tally.hear(&event, reporter);
    let mut engine = start(session, &options, context.cancel, args.wait.time()?, &mut hear).await?;
    let done = engine.backfill(plan).await;
    let journal = engine.journal().clone();
    done?;
    tally.report(plan, past(Phase::Backfill), &journal, context);
    Ok(())
}
