use super::context::{Context, lock};
use super::evidence::gathered;
use super::failure::{Exit, Failure};
use super::phase::{Tally, WaitArgs, time};
use super::project;
use super::window::Window;
use crate::backfill::Pace;
use crate::config::Origin;
use crate::dialect::Session;
use crate::engine::{Engine, EngineOptions, Event};
use crate::gate::{Evidence, Permit, Verdict};
use crate::journal::{Journal, Progress};
use crate::migration::SourceFile;
use crate::plan::{Phase, Plan};
use crate::report::Format;

/// Run all phases at once, on a database that no application uses
///
/// For development, tests and maintenance windows. Hazards are about running code, so they
/// hold nothing back here. Refused where a version is known to be at work.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Up to this migration, or a beginning of its name; all that are pending without one
    id: Option<String>,
    /// In a maintenance window of this length, as 10m: refused before it begins where the work does not fit,
    /// stopped at a safe point when the window closes; exits with 20 if something is left. Fills at the
    /// fast pace where no other is set
    #[arg(long, value_name = "TIME")]
    window: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut files = project::files(context)?;
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    project::fitting(&files, &journal)?;
    project::in_order(&files, &journal)?;
    if let Some(short) = &args.id {
        let last = project::one(short, files.iter().map(|file| &file.id))?;
        files.retain(|file| file.id <= last);
    }
    files.retain(|file| journal.progress(&file.id) != Progress::After(Phase::Purge));
    if files.is_empty() {
        if context.reporter.format() == Format::Json {
            let nothing = serde_json::json!({ "zdmig_phase": 1, "phase": "apply", "steps": 0 });
            context.reporter.json(&nothing);
        } else {
            context.reporter.product("nothing to apply\n");
        }
        return Ok(Exit::Done);
    }
    let length = args.window.as_ref().map(|text| time("--window", text)).transpose()?;
    if length.is_some_and(|length| length.is_zero()) {
        return Err(Failure::usage("`--window 0s`: no work fits into no time"));
    }
    let window = length.map(|length| Window::open(length, context.cancel));
    if let Some(window) = &window {
        let catalog = session.catalog().await?;
        window.fits(&files, &journal, &catalog, context)?;
    }
    let server = session.server().await?;
    let can = context.dialect()?.capabilities(&server);
    let mut options = context.engine_options(can.single_writer);
    if window.is_some() && context.settings.pace.origin == Origin::Default {
        options.pace = Pace::FAST;
    }
    lock(&mut *session, &options.owner, context.cancel, args.wait.time()?).await?;
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    let evidence = gathered(&mut *observer, &[], context).await?;
    let mut journal = context.journal(&mut *session).await?;
    for file in &files {
        let at = (&options, &evidence, window.as_ref());
        journal = one(file, journal, &mut *session, at, context).await.map_err(|failure| {
            match &args.window {
                // What a window says of its end names the next command itself.
                Some(_) if failure.exit() == Exit::Pending => failure,
                Some(length) => failure.resumed_by(&format!("zdmig apply --window {length}")),
                None => failure.resumed_by("zdmig apply"),
            }
        })?;
    }
    Ok(Exit::Done)
}

/// Takes one migration through all that is left of it.
async fn one(
    file: &SourceFile,
    journal: Journal,
    session: &mut dyn Session,
    (options, evidence, window): (&EngineOptions, &Evidence, Option<&Window>),
    context: &mut Context<'_>,
) -> Result<Journal, Failure> {
    let plan = match journal.plan(&file.id) {
        Some(plan) => plan.clone(),
        None => {
            let dialect = context.dialect()?;
            let migration = project::parse(file, context)?;
            let catalog = session.catalog().await?;
            project::plan_one(&migration, &catalog, &journal, dialect)?.0
        }
    };
    super::approval::granted(&plan, context).await?;
    let (contract, purge) = (permit(&plan, evidence)?, permit(&plan, evidence)?);
    if let Some(window) = window {
        window.has_time(&plan, &journal, &session.catalog().await?)?;
    }
    let mut tally = Tally::default();
    let cancel = window.map_or(context.cancel, |window| &window.closed);
    let mut ears = context.ears();
    let mut hear = |event: Event<'_>| tally.hear(&event, &mut ears);
    let mut engine = Engine::resumed(session, journal, options, cancel, &mut hear);
    let ran = async {
        engine.expand(&plan).await?;
        engine.backfill(&plan).await?;
        engine.contract(&plan, contract).await?;
        engine.purge(&plan, purge).await
    };
    let ran = ran.await.map_err(Failure::from);
    let journal = engine.into_journal();
    ran.map_err(|failure| match window {
        Some(window) => window.told(failure, &plan, &journal),
        None => failure,
    })?;
    tally.report(&plan, "applied", &journal, context);
    Ok(journal)
}

fn permit(plan: &Plan, evidence: &Evidence) -> Result<Permit, Failure> {
    match crate::gate::nobody_at_work(plan, evidence) {
        Verdict::Pass { permit, .. } => Ok(permit),
        verdict => {
            let reason = verdict.reasons().first();
            let (message, remedy) =
                reason.map(|one| (one.message.clone(), one.remedy.clone())).unwrap_or_default();
            Err(Failure::new(Exit::GateRefuse, message).hint(remedy))
        }
    }
}
