use super::context::Context;
use super::contract::{OverrideArgs, phase};
use super::failure::{Exit, Failure};
use super::gate;
use super::phase::WaitArgs;
use crate::plan::Phase;

/// Drop what was retired, for good, after the soak and behind the gate once more
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name
    id: String,
    /// How long it must have been retired [default: 24h]
    #[arg(long, value_name = "TIME")]
    pub(super) soak: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    wish: OverrideArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let journal = context.connect().await?.journal().await?;
    let plan = gate::taken_up(&args.id, &journal, context)?;
    phase(&plan, Phase::Purge, &args.wait, &args.wish, context).await
}
