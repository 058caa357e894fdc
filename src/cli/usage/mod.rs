mod explain;
mod models;
mod publish;
mod sources;

use std::path::Path;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::snapshot;
use crate::catalog::Catalog;
use crate::dialect::Dialect;
pub(super) use publish::{publish, unknown};

/// Tell the gate what a version uses, or ask what a query uses
#[derive(Clone, Debug, clap::Subcommand)]
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

/// What the database holds, or a snapshot of it.
async fn known(
    file: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<(Catalog, &'static dyn Dialect), Failure> {
    match file {
        Some(path) => {
            let snapshot = snapshot::read(path)?;
            let dialect = snapshot::dialect(&snapshot, path)?;
            Ok((snapshot.catalog, dialect))
        }
        None => Ok((context.connect().await?.catalog().await?, context.dialect()?)),
    }
}
