use super::context::{Context, start};
use super::failure::{Exit, Failure};
use super::phase::{Tally, WaitArgs};
use super::{fence, gate};
use crate::journal::{Journal, Status};
use crate::plan::{Action, Phase, Plan, Target, Use};
use crate::sql::ColumnRef;

/// Take a migration back, from any point before its purge
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; the only open one without it
    pub(super) id: Option<String>,
    /// Even while a version that uses what would go is known to run
    #[arg(long)]
    anyway: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    let plan = match &args.id {
        Some(short) => gate::taken_up(short, &journal, context)?,
        None => only_open(&journal)?,
    };
    // What was purged cannot be taken back at all, which the engine says.
    let purged = plan.phase(Phase::Purge).any(|step| journal.status(&step.id) == Status::Done);
    if !args.anyway && !purged {
        unused(&plan, &journal, context).await?;
    }
    let server = session.server().await?;
    let options = context.engine_options(context.dialect()?.capabilities(&server).single_writer);
    let cancel = context.cancel;
    let mut tally = Tally::default();
    let mut ears = context.ears();
    let mut hear = |event: crate::engine::Event<'_>| tally.hear(&event, &mut ears);
    let mut engine = start(&mut *session, &options, cancel, args.wait.time()?, &mut hear).await?;
    let done = engine.rollback(&plan).await;
    let journal = engine.journal().clone();
    done.map_err(|error| {
        Failure::from(error).resumed_by(&format!("zdmig rollback {}", plan.migration))
    })?;
    fence::lower(&plan, context).await?;
    tally.report(&plan, "rolled back", &journal, context);
    Ok(Exit::Done)
}

/// Refuses while a version is known to run that uses a column which would go. What is not
/// known does not hold a rollback back: it is how one gets out of trouble.
async fn unused(plan: &Plan, journal: &Journal, context: &Context<'_>) -> Result<(), Failure> {
    let added = plan.steps.iter().filter_map(|step| match &step.action {
        Action::AddColumn(add) if journal.status(&step.id) == Status::Done => Some(Target {
            column: ColumnRef::new(&add.table, &add.column.name),
            ends: Use::Any,
            replaced_by: None,
        }),
        _ => None,
    });
    let mut back = plan.clone();
    back.requirement.targets = added.collect();
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    let verdict =
        gate::judge(&back, Phase::Expand, journal, &mut *observer, context).await?.verdict;
    match verdict.reasons().iter().find(|reason| reason.code == "E_VERSION_USES") {
        Some(reason) => Err(Failure::new(Exit::GateRefuse, reason.message.clone())
            .hint("end that version first, or go back all the same with --anyway")),
        None => Ok(()),
    }
}

fn only_open(journal: &Journal) -> Result<Plan, Failure> {
    let open: Vec<_> = journal.plans().filter(|plan| journal.in_flight(&plan.migration)).collect();
    match open.as_slice() {
        [plan] => Ok((*plan).clone()),
        [] => Err(Failure::usage("no migration is open, so there is nothing to take back").idle()),
        several => {
            let names: Vec<_> = several.iter().map(|plan| plan.migration.to_string()).collect();
            Err(Failure::usage(format!("several migrations are open: {}", names.join(", ")))
                .hint(format!("name one: zdmig rollback {}", names[names.len() - 1])))
        }
    }
}
