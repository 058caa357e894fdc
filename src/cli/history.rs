use super::context::Context;
use super::failure::{Exit, Failure};
use super::project;
use crate::journal::Journal;
use crate::report::{Format, History, render_history};

/// Show what was done: when, by whom, from which host and with which version
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all of them without one
    id: Option<String>,
    /// Only the last so many lines [default: 30, all of one migration, and all in JSON]
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
}

/// Lines that are shown where nobody says how many.
const LAST: usize = 30;

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let journal = context.connect().await?.journal().await?;
    let id = match &args.id {
        Some(short) => Some(project::one(short, ever(&journal).iter())?),
        None => None,
    };
    let json = context.reporter.format() == Format::Json;
    let entries = journal.entries().iter();
    let entries = entries.filter(|entry| {
        let prefix = entry.step.migration_prefix();
        id.as_ref().is_none_or(|id| prefix.trim_end_matches('/') == id.to_string())
    });
    let mut history = History::of(entries, json || context.reporter.verbose());
    let last = args.last.map(|last| last as usize).or((id.is_none() && !json).then_some(LAST));
    history.keep(last.unwrap_or(usize::MAX));
    if json {
        context.reporter.json(&history);
    } else {
        let pen = context.reporter.pen();
        context.reporter.product(&render_history(&history, pen));
    }
    Ok(Exit::Done)
}

/// Every migration that was ever taken up, rolled back or not.
fn ever(journal: &Journal) -> Vec<crate::migration::MigrationId> {
    let stems = journal.entries().iter().map(|entry| entry.step.migration_prefix());
    let ids = stems.map(|stem| stem.trim_end_matches('/'));
    let mut ids: Vec<_> =
        ids.filter_map(|id| crate::migration::MigrationId::from_stem(id).ok()).collect();
    ids.sort();
    ids.dedup();
    ids
}
