mod explain;
mod publish;

use super::context::Context;
use super::failure::{Exit, Failure};
pub(super) use publish::publish;

/// Tell the gate what a version uses, or ask what a query uses
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Publish a version's manifest, once and for all
    Publish(publish::Args),
    /// Say what statements do with a column or a table
    Explain(explain::Args),
}

pub(super) async fn run(command: &Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Publish(args) => publish::run(args, context).await,
        Command::Explain(args) => explain::run(args, context).await,
    }
}
