use super::context::{Context, lock, owner, start};
use super::failure::{Exit, Failure};
use super::phase::{Tally, WaitArgs};
use super::{fence, gate};
use crate::plan::Phase;

/// Undo a contract: old code works again at once
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name
    pub(super) id: String,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    let plan = gate::taken_up(&args.id, &journal, context)?;
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    if observer.dark().await?.contains(&plan.migration.to_string()) {
        // A brownout that was cut off. Whoever has the run lock gives back what is away.
        lock(&mut *session, &owner(), context.cancel, args.wait.time()?).await?;
        Tally::default().report(&plan, "restored", &journal, context);
        return Ok(Exit::Done);
    }
    if !journal.begun(&plan, Phase::Contract) && !journal.begun(&plan, Phase::Purge) {
        return Err(Failure::usage(format!(
            "`{}` is not contracted, so there is nothing to restore",
            plan.migration
        ))
        .idle());
    }
    let server = session.server().await?;
    let options = context.engine_options(context.dialect()?.capabilities(&server).single_writer);
    let cancel = context.cancel;
    let mut tally = Tally::default();
    let mut ears = context.ears();
    let mut hear = |event: crate::engine::Event<'_>| tally.hear(&event, &mut ears);
    let mut engine = start(&mut *session, &options, cancel, args.wait.time()?, &mut hear).await?;
    let done = engine.restore(&plan).await;
    let journal = engine.journal().clone();
    done.map_err(|error| {
        Failure::from(error).resumed_by(&format!("zdmig restore {}", plan.migration))
    })?;
    fence::lower(&plan, context).await?;
    tally.report(&plan, "restored", &journal, context);
    Ok(Exit::Done)
}
