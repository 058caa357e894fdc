use super::backfill::one_writer;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::steer::steer;
use crate::backfill::Pace;
use crate::dialect::Steer;

/// Change the pace or the workers of a backfill, while it runs or before
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all that are being backfilled without one
    id: Option<String>,
    /// What it may cost the application: gentle, default or fast
    #[arg(long, value_name = "NAME", required_unless_present = "workers")]
    pace: Option<String>,
    /// How many workers fill at the same time in each process
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    workers: Option<u32>,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if let Some(name) = &args.pace
        && Pace::named(name).is_none()
    {
        return Err(Failure::usage(format!("`--pace {name}`: no such pace"))
            .hint("write `gentle`, `default` or `fast`"));
    }
    if args.workers.is_some_and(|count| count > 1) && context.single_writer()? {
        return Err(one_writer("--workers"));
    }
    let change = Steer { paused_by: None, pace: args.pace.clone(), workers: args.workers };
    steer(args.id.as_deref(), &change, ("tuned", "status"), context).await
}
