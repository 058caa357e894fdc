use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::baseline::{hold, listed};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::phase::WaitArgs;
use super::project;
use crate::dialect::Observer;
use crate::engine::Adoption;
use crate::journal::Journal;
use crate::migration::{Log, MigrationId, Runner, SourceFile};
use crate::report::{Format, counted};
use crate::sql::{Ident, TableName};

/// Take a project over from sqlx, refinery, diesel, dbmate, goose or Flyway
///
/// Reads the table in which that runner wrote down what it ran, holds those files for run, and
/// leaves the table as it is. Refused where a file is not what was run, or a run was cut off.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Whose table to read; whichever is there without it
    #[arg(long, value_parser = runners(), value_name = "RUNNER")]
    from: Option<Runner>,
    /// The table, where it is not the one that the runner makes by itself: `schema.name` or `name`
    #[arg(long, value_name = "TABLE", requires = "from")]
    table: Option<String>,
    /// Take over a file although it is not what was run; may be given several times
    #[arg(long, value_name = "ID")]
    pub(super) accept: Vec<String>,
    /// Show what it would do
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// A runner by its name.
fn runners() -> impl TypedValueParser<Value = Runner> {
    PossibleValuesParser::new(Runner::ALL.map(Runner::name)).try_map(|name| {
        Runner::ALL.into_iter().find(|one| one.name() == name).ok_or("no runner has that name")
    })
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let files = project::files(context)?;
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    let (runner, log) = found(args, context.schema.as_deref(), &mut *observer).await?;
    let journal = context.journal(&mut *context.connect().await?).await?;
    whole(&log, runner, &files)?;
    unchanged(&log, runner, (&files, &journal), args)?;
    in_order(&log, runner, (&files, &journal))?;
    let ran = |file: &&SourceFile| log.holds(&file.id) && journal.is_new(&file.id);
    let adoptions: Vec<_> =
        files.iter().filter(ran).map(|file| Adoption::of(file, runner.name())).collect();
    let held = if args.dry_run {
        adoptions.into_iter().map(|one| one.migration).collect()
    } else {
        hold(adoptions, &args.wait, context).await?
    };
    report(&held, (runner, &log), (&files, &journal), args, context);
    Ok(Exit::Done)
}

/// The table of a runner, and what it says.
async fn found(
    args: &Args,
    schema: Option<&str>,
    observer: &mut dyn Observer,
) -> Result<(Runner, Log), Failure> {
    let mut found = Vec::new();
    for runner in Runner::ALL {
        if args.from.is_some_and(|from| from != runner) {
            continue;
        }
        let table = args.table.clone().unwrap_or_else(|| runner.table().to_owned());
        let mut table = TableName::from(table);
        // That of another schema tells nothing of this one.
        table.schema = table.schema.or_else(|| schema.map(Ident::new));
        // Others keep a table of the same name, which is none of ours to understand.
        if let Some(rows) = observer.foreign(&table, runner.columns()).await? {
            found.push((runner, runner.read(rows)));
        }
    }
    let names: Vec<_> = found.iter().map(|(runner, _)| runner.name()).collect();
    match (found.len(), args.from) {
        (0, None) => {
            let tables = Runner::ALL.map(|one| format!("`{}` ({})", one.table(), one.name()));
            Err(Failure::usage(format!("no other runner's table is here: {}", tables.join(", ")))
                .hint("name it with --from RUNNER --table TABLE; where another runner, or nobody, kept one: zdmig baseline --all"))
        }
        (0, Some(from)) => {
            let table = args.table.as_deref().unwrap_or(from.table());
            Err(Failure::usage(format!("there is no table `{table}`"))
                .hint("name it with --table TABLE"))
        }
        (1, _) => found.pop().ok_or_else(|| Failure::usage("nothing was found")),
        _ => Err(Failure::usage(format!("several runners have been here: {}", names.join(", ")))
            .hint(format!("say whose word counts: zdmig adopt --from {}", names[0]))),
    }
}

/// Refuses where a run did not come to its end.
fn whole(log: &Log, runner: Runner, files: &[SourceFile]) -> Result<(), Failure> {
    let Some(cut) = log.ran.iter().find(|ran| !ran.whole) else { return Ok(()) };
    let file = files.iter().find(|file| file.id.is_version(&cut.version));
    let what = file.map_or_else(|| cut.version.clone(), |file| file.path.clone());
    let name = runner.name();
    Err(Failure::new(Exit::Drift, format!("{name} began `{what}` and did not end it"))
        .hint(format!("bring that to an end with {name}, then: zdmig adopt")))
}

/// Refuses files that are not what was run.
fn unchanged(
    log: &Log,
    runner: Runner,
    (files, journal): (&[SourceFile], &Journal),
    args: &Args,
) -> Result<(), Failure> {
    let mut accepted = Vec::new();
    for short in &args.accept {
        accepted.push(project::one(short, files.iter().map(|file| &file.id))?);
    }
    let accepted = |file: &SourceFile| accepted.contains(&file.id);
    let changed: Vec<_> = files
        .iter()
        .filter(|file| log.of(&file.id).is_some_and(|ran| !ran.fits(file)))
        .filter(|file| journal.is_new(&file.id) && !accepted(file))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let paths: Vec<_> = changed.iter().map(|file| format!("`{}`", file.path)).collect();
    let name = runner.name();
    let message = format!("not what {name} ran: {}", paths.join(", "));
    Err(Failure::new(Exit::Drift, message).hint(format!(
        "put the files back as they were; where a difference is of no matter: zdmig adopt{}",
        changed.iter().map(|file| format!(" --accept {}", file.id)).collect::<Vec<_>>().concat()
    )))
}

/// Refuses files that were left out: every database must run the files in one order.
fn in_order(
    log: &Log,
    runner: Runner,
    (files, journal): (&[SourceFile], &Journal),
) -> Result<(), Failure> {
    let last = files.iter().rposition(|file| log.holds(&file.id)).unwrap_or_default();
    let left = |file: &&SourceFile| !log.holds(&file.id) && journal.is_new(&file.id);
    let left = files[..last].iter().find(left);
    let Some(left) = left else { return Ok(()) };
    let (name, newer) = (runner.name(), &files[last].id);
    let message = format!("{name} ran `{newer}` and not `{}`, which is older", left.path);
    Err(Failure::new(Exit::Drift, message).hint(format!(
        "run it with {name} first; where what it does is there already: zdmig baseline {newer}"
    )))
}

fn report(
    held: &[MigrationId],
    (runner, log): (Runner, &Log),
    (files, journal): (&[SourceFile], &Journal),
    args: &Args,
    context: &mut Context<'_>,
) {
    let pending = |file: &&SourceFile| !log.holds(&file.id) && journal.is_new(&file.id);
    let pending: Vec<&MigrationId> = files.iter().filter(pending).map(|file| &file.id).collect();
    let gone = |version: &&str| !files.iter().any(|file| file.id.is_version(version));
    let gone: Vec<_> = log.ran.iter().map(|ran| ran.version.as_str()).filter(gone).collect();
    if context.reporter.format() == Format::Json {
        context.reporter.json(&serde_json::json!({
            "zdmig_adopt": 1, "from": runner.name(), "adopted": held, "pending": pending,
            "without_file": gone, "not_versioned": log.others, "dry_run": args.dry_run,
        }));
        return;
    }
    let done = if args.dry_run { "would be adopted" } else { "adopted" };
    let count = counted(held.len() as u64, "migration");
    let mut text = format!("{count} {done} from {}\n{}", runner.name(), listed(held));
    if !pending.is_empty() {
        let pending: Vec<_> = pending.into_iter().cloned().collect();
        text.push_str(&format!("pending, to be run by zdmig\n{}", listed(&pending)));
        if !args.dry_run {
            text.push_str("next: zdmig plan\n");
        }
    }
    context.reporter.product(&text);
    if !gone.is_empty() {
        context.reporter.warn(&format!("run, and their files are gone: {}", gone.join(", ")));
    }
    if !log.others.is_empty() {
        let others = log.others.join(", ");
        context.reporter.warn(&format!("not run by zdmig, for they have no version: {others}"));
    }
    if let Some(last) = held.last().filter(|_| !args.dry_run) {
        context.reporter.hint(&format!(
            "let {} run no more on this database; `check_after = \"{last}\"` in zdmig.toml has \
             `zdmig check` leave alone what was run",
            runner.name()
        ));
    }
}
