use super::context::{Context, start};
use super::failure::{Exit, Failure};
use super::phase::WaitArgs;
use super::project;
use crate::engine::Adoption;
use crate::migration::MigrationId;
use crate::report::{Format, counted};

/// Hold migrations for run that the database has already
///
/// Nobody is asked whether that is so: `zdmig adopt` reads another runner's table, this takes your
/// word.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The last one that the database has, or a beginning of its name: those before it too
    #[arg(required_unless_present = "all")]
    pub(super) id: Option<String>,
    /// Every file that there is
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// Hold this one, and those after it, for run no longer: pending again
    #[arg(long, conflicts_with = "all")]
    forget: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let files = project::files(context)?;
    let journal = context.journal(&mut *context.connect().await?).await?;
    let known = files.iter().map(|file| &file.id).chain(journal.known());
    let one = args.id.as_ref().map(|short| project::one(short, known)).transpose()?;
    if let Some(first) = one.as_ref().filter(|_| args.forget) {
        let mut of: Vec<_> = journal.known().filter(|id| *id >= first).cloned().collect();
        of.retain(|id| journal.adopted(id).is_some());
        // Files are run in one order: what rests on it goes first.
        if let Some(newer) = journal.plans().map(|plan| &plan.migration).find(|id| *id > first) {
            return Err(Failure::usage(format!("`{newer}` was run after `{first}`"))
                .hint(format!("take it back first: zdmig rollback {newer}")));
        }
        return forget(of, args, context).await;
    }
    let last = one.or_else(|| files.last().map(|file| file.id.clone()));
    let new = files.iter().filter(|file| Some(&file.id) <= last.as_ref());
    let adoptions: Vec<_> = new
        .filter(|file| journal.is_new(&file.id))
        .map(|file| Adoption::of(file, "baseline"))
        .collect();
    let held = hold(adoptions, &args.wait, context).await?;
    report(&held, "held for run", context);
    Ok(Exit::Done)
}

/// Writes down that migrations were run; which.
pub(super) async fn hold(
    adoptions: Vec<Adoption>,
    wait: &WaitArgs,
    context: &Context<'_>,
) -> Result<Vec<MigrationId>, Failure> {
    if !adoptions.is_empty() {
        let mut session = context.connect().await?;
        let options = context.engine_options(false);
        let mut unheard = |_: crate::engine::Event<'_>| {};
        let wait = wait.time()?;
        let mut engine = start(&mut *session, &options, context.cancel, wait, &mut unheard).await?;
        for adoption in &adoptions {
            // Another may have been here since the journal was read.
            if engine.journal().is_new(&adoption.migration) {
                engine.adopt(adoption).await?;
            }
        }
    }
    Ok(adoptions.into_iter().map(|one| one.migration).collect())
}

async fn forget(
    of: Vec<MigrationId>,
    args: &Args,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    if of.is_empty() {
        return Err(Failure::usage("none of them is held for run by `baseline` or `adopt`").hint(
            "`zdmig history` shows what was done; `zdmig rollback ID` takes a migration back",
        ));
    }
    let mut session = context.connect().await?;
    let options = context.engine_options(false);
    let mut unheard = |_: crate::engine::Event<'_>| {};
    let wait = args.wait.time()?;
    let mut engine = start(&mut *session, &options, context.cancel, wait, &mut unheard).await?;
    // The newest first, so that whatever is left is in order.
    for id in of.iter().rev() {
        // Another may have been here since the journal was read.
        if engine.journal().adopted(id).is_some() {
            engine.disown(id).await?;
        }
    }
    report(&of, "pending again", context);
    Ok(Exit::Done)
}

fn report(of: &[MigrationId], done: &str, context: &mut Context<'_>) {
    if context.reporter.format() == Format::Json {
        let answer = serde_json::json!({ "zdmig_baseline": 1, "done": done, "migrations": of });
        return context.reporter.json(&answer);
    }
    let count = counted(of.len() as u64, "migration");
    context.reporter.product(&format!("{count} {done}\n{}next: zdmig status\n", listed(of)));
}

/// A migration a line; a long list by its ends.
pub(super) fn listed(of: &[MigrationId]) -> String {
    let line = |id: &MigrationId| format!("  {id}\n");
    match of {
        [first, second, .., last] if of.len() > 12 => {
            let between = of.len() - 3;
            format!("{}{}  … {between} more …\n{}", line(first), line(second), line(last))
        }
        few => few.iter().map(line).collect(),
    }
}
