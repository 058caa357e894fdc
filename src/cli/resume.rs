use super::context::Context;
use super::failure::{Exit, Failure};
use super::steer::steer;
use crate::dialect::Steer;

/// Let a paused backfill go on
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all that are being backfilled without one
    id: Option<String>,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let change = Steer { paused_by: Some(None), ..Steer::default() };
    steer(args.id.as_deref(), &change, ("may go on", "status"), context).await
}
