//! What the verbs share that steer a backfill from another terminal.

use super::context::Context;
use super::failure::{Exit, Failure};
use super::project;
use crate::dialect::Steer;
use crate::journal::Journal;
use crate::migration::MigrationId;
use crate::plan::Phase;
use crate::report::Format;

/// Asks something of the backfills of a migration, or of all that are open. They need no run
/// lock: whoever fills looks at it between two chunks.
pub(super) async fn steer(
    id: Option<&str>,
    change: &Steer,
    (done, next): (&str, &str),
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    let open = open(&journal);
    let wanted = match id {
        Some(short) => vec![project::one(short, open.iter())?],
        None => open,
    };
    if wanted.is_empty() {
        return Err(Failure::usage("no migration is being backfilled")
            .hint("`zdmig status` shows what is open"));
    }
    let mut text = String::new();
    for migration in &wanted {
        session.steer(&format!("{migration}/"), change).await?;
        let next = if next == "status" { next.to_owned() } else { format!("{next} {migration}") };
        text.push_str(&format!("{migration}: {done}\nnext: zdmig {next}\n"));
    }
    if context.reporter.format() == Format::Json {
        let names: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        let answer = serde_json::json!({ "zdmig_steer": 1, "done": done, "migrations": names });
        context.reporter.json(&answer);
    } else {
        context.reporter.product(&text);
    }
    Ok(Exit::Done)
}

/// Migrations whose backfill is to come, or runs.
fn open(journal: &Journal) -> Vec<MigrationId> {
    let open = journal.plans().filter(|plan| !journal.phase_done(plan, Phase::Backfill));
    open.filter(|plan| journal.in_flight(&plan.migration))
        .map(|plan| plan.migration.clone())
        .collect()
}
