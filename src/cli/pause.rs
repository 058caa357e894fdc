use super::context::{Context, owner};
use super::failure::{Exit, Failure};
use super::steer::steer;
use crate::dialect::Steer;

/// Let a backfill rest: it ends the chunk that it is at, and holds nothing meanwhile
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all that are being backfilled without one
    id: Option<String>,
    /// Why, for those who look at `status`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let reason = args.reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let by = format!("{}{reason}", owner());
    let change = Steer { paused_by: Some(Some(by)), ..Steer::default() };
    steer(args.id.as_deref(), &change, ("paused", "resume"), context).await
}
