use chrono::Utc;

use super::context::Context;
use super::contract::{OverrideArgs, is_through, phase, worse};
use super::failure::{Exit, Failure};
use super::gate;
use super::later::TryArgs;
use super::phase::WaitArgs;
use crate::journal::Journal;
use crate::plan::{Phase, Plan};
use crate::report::Format;

/// Drop what was retired, for good, after the soak and behind the gate once more
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all whose soak is over without one
    pub(super) id: Option<String>,
    /// How long it must have been retired [default: 24h]
    #[arg(long, value_name = "TIME")]
    pub(super) soak: Option<String>,
    #[command(flatten)]
    pub(super) later: TryArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    wish: OverrideArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if args.wish.verdict.is_some() && args.id.is_none() {
        return Err(Failure::usage("an override is of one migration, and none is named")
            .hint("zdmig purge ID --override …"));
    }
    let journal = context.journal(&mut *context.connect().await?).await?;
    let todo = match &args.id {
        Some(short) => vec![gate::taken_up(short, &journal, context)?],
        None => due(&journal, context),
    };
    if todo.is_empty() {
        if context.reporter.format() == Format::Json {
            let nothing = serde_json::json!({ "zdmig_phase": 1, "phase": "purge", "steps": 0 });
            context.reporter.json(&nothing);
        } else {
            context.reporter.product("nothing to purge\n");
        }
    }
    let mut worst = Exit::Done;
    for plan in &todo {
        let exit = phase(plan, Phase::Purge, &args.wait, &args.wish, context).await?;
        worst = worse(worst, exit);
    }
    Ok(worst)
}

/// Plans that were retired for as long as they must be, by this machine's clock; the gate goes by the
/// database's.
pub(super) fn due(journal: &Journal, context: &Context<'_>) -> Vec<Plan> {
    let retired = |plan: &&Plan| {
        is_through(plan, journal)
            && journal.phase_done(plan, Phase::Backfill)
            && !journal.phase_done(plan, Phase::Purge)
            && gate::soak_left(plan, journal, Utc::now(), context).is_zero()
    };
    journal.plans().filter(retired).cloned().collect()
}
