use std::path::PathBuf;

use super::context::{Context, lock};
use super::failure::{Exit, Failure};
use super::phase::{Tally, WaitArgs, past};
use super::project;
use crate::dialect::Session;
use crate::engine::{Engine, Event};
use crate::journal::Journal;
use crate::migration::{MigrationId, SourceFile};
use crate::plan::{Phase, Plan};
use crate::report::Format;

/// Add what the new code needs; any time before the deploy
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all that are pending without one
    pub(super) id: Option<String>,
    /// Run this reviewed plan, and no other
    #[arg(long, value_name = "FILE")]
    pub(super) plan: Option<PathBuf>,
    /// Serve metrics for Prometheus at this address while it runs, as 127.0.0.1:9187 or :9187.
    /// Environment: ZDMIG_METRICS_LISTEN
    #[arg(long, value_name = "ADDRESS")]
    pub(super) metrics_listen: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let files = project::files(context)?;
    let saved = args.plan.as_ref().map(|path| read_plan(path)).transpose()?;
    let mut session = context.connect().await?;
    // Nothing is written, not even our bookkeeping, before the files are known to be good.
    let journal = context.journal(&mut *session).await?;
    let todo = pending(args, saved.as_ref(), &files, &journal)?;
    if todo.is_empty() {
        nothing(context);
        return Ok(Exit::Done);
    }
    for id in &todo {
        one(id, saved.as_ref(), &files, &mut *session, args, context)
            .await
            .map_err(|failure| failure.resumed_by(&format!("zdmig expand {id}")))?;
        // The run lock lasts as long as its session.
        session = context.connect().await?;
    }
    Ok(Exit::Done)
}

fn nothing(context: &mut Context<'_>) {
    if context.reporter.format() == Format::Json {
        context
            .reporter
            .json(&serde_json::json!({ "zdmig_phase": 1, "phase": "expand", "steps": 0 }));
    } else {
        context.reporter.product("nothing to expand\n");
    }
}

fn pending(
    args: &Args,
    saved: Option<&Plan>,
    files: &[SourceFile],
    journal: &Journal,
) -> Result<Vec<MigrationId>, Failure> {
    project::fitting(files, journal)?;
    project::in_order(files, journal)?;
    let ids = || files.iter().map(|file| &file.id);
    let wanted = match (&args.id, saved) {
        (Some(short), Some(plan)) => {
            let id = project::one(short, ids())?;
            if id != plan.migration {
                return Err(Failure::usage(format!(
                    "the plan is for `{}`, not for `{id}`",
                    plan.migration
                )));
            }
            Some(id)
        }
        (Some(short), None) => Some(project::one(short, ids())?),
        (None, Some(plan)) => Some(plan.migration.clone()),
        (None, None) => None,
    };
    let open = |id: &&MigrationId| {
        journal.is_new(id)
            || journal.plan(id).is_some_and(|plan| !journal.phase_done(plan, Phase::Expand))
    };
    let all: Vec<_> = ids().filter(open).cloned().collect();
    let Some(wanted) = wanted else { return Ok(all) };
    if let Some(earlier) = all.iter().find(|id| **id < wanted) {
        return Err(Failure::usage(format!(
            "`{earlier}` comes before `{wanted}` and is not expanded"
        ))
        .hint(format!("zdmig expand {earlier}")));
    }
    Ok(all.into_iter().filter(|id| *id == wanted).collect())
}

async fn one(
    id: &MigrationId,
    saved: Option<&Plan>,
    files: &[SourceFile],
    session: &mut dyn Session,
    args: &Args,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let file = files.iter().find(|file| file.id == *id);
    let file = file.ok_or_else(|| Failure::usage(format!("`{id}` has no file")))?;
    // A plan that is refused must leave nothing behind, not even our bookkeeping, so it is
    // made before the run lock is taken, and once more under it. While another zdmig is at
    // work the first one may fail for what that one is doing.
    let first = decide(file, saved, session, context).await;
    if first.is_err() && context.journal(&mut *session).await?.entries().is_empty() {
        return first.map(|_| ());
    }
    let cancel = context.cancel;
    let options = context.engine_options(false);
    lock(session, &options.owner, cancel, args.wait.time()?).await?;
    let plan = decide(file, saved, session, context).await?;
    let mut tally = Tally::default();
    let mut ears = context.ears();
    let mut hear = |event: Event<'_>| tally.hear(&event, &mut ears);
    let mut engine = Engine::started(session, &options, cancel, &mut hear).await?;
    let done = engine.expand(&plan).await;
    let journal = engine.journal().clone();
    done?;
    tally.report(&plan, past(Phase::Expand), &journal, context);
    Ok(())
}

/// The plan that was taken up, else the one to be taken up: that of the file, and the saved
/// one if there is one.
async fn decide(
    file: &SourceFile,
    saved: Option<&Plan>,
    session: &mut dyn Session,
    context: &Context<'_>,
) -> Result<Plan, Failure> {
    let dialect = context.dialect()?;
    let journal = context.journal(&mut *session).await?;
    let plan = match journal.plan(&file.id) {
        Some(plan) => plan.clone(),
        None => {
            let catalog = session.catalog().await?;
            let migration = project::parse(file, context)?;
            let (plan, _) = project::plan_one(&migration, &catalog, &journal, dialect)?;
            project::undenied(&plan, &migration)?;
            plan
        }
    };
    match saved {
        Some(saved) if saved.fingerprint != plan.fingerprint => Err(Failure::new(
            Exit::Drift,
            format!(
                "the saved plan {} is stale: the file or the tables it touches were changed, and \
                 the plan would be {} now",
                saved.fingerprint.short(),
                plan.fingerprint.short()
            ),
        )
        .hint(format!("review it again: zdmig plan {} -o FILE", file.id))),
        _ => {
            super::approval::granted(&plan, context).await?;
            Ok(plan)
        }
    }
}

pub(super) fn read_plan(path: &std::path::Path) -> Result<Plan, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", path.display())))?;
    Plan::from_json(&text).map_err(|error| {
        Failure::usage(format!("`{}`: {error}", path.display()))
            .hint("make it again: zdmig plan ID -o FILE")
    })
}
