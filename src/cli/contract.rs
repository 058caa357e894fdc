use super::context::{Context, start};
use super::failure::{Exit, Failure};
use super::later::TryArgs;
use super::phase::{Tally, WaitArgs, past};
use super::{fence, gate, project};
use crate::gate::{Override, Verdict};
use crate::journal::Journal;
use crate::plan::{Phase, Plan};
use crate::report::Format;

/// Take away what nobody uses, reversibly, if the gate passes
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all whose gate passes without one
    pub(super) id: Option<String>,
    /// How long to keep what is retired [default: 24h]; `0s` purges at once
    #[arg(long, value_name = "TIME")]
    pub(super) soak: Option<String>,
    #[command(flatten)]
    pub(super) later: TryArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    wish: OverrideArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if args.wish.verdict.is_some() && args.id.is_none() {
        return Err(Failure::usage("an override is of one migration, and none is named")
            .hint("zdmig contract ID --override …"));
    }
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    if let Ok(files) = project::files(context) {
        project::fitting(&files, &journal)?;
    }
    let at_once = context.settings.soak.value.is_zero();
    let todo = match &args.id {
        Some(short) => vec![gate::taken_up(short, &journal, context)?],
        // Without a soak those too whose contract was done and whose purge was stopped.
        None if at_once => [ready(&journal), super::purge::due(&journal, context)].concat(),
        None => ready(&journal),
    };
    if todo.is_empty() {
        if context.reporter.format() == Format::Json {
            context
                .reporter
                .json(&serde_json::json!({ "zdmig_phase": 1, "phase": "contract", "steps": 0 }));
        } else {
            context.reporter.product("nothing to contract\n");
        }
    }
    drop(session);
    let mut worst = Exit::Done;
    for plan in &todo {
        let exit = phase(plan, Phase::Contract, &args.wait, &args.wish, context).await?;
        worst = worse(worst, exit);
        if exit == Exit::Done && at_once {
            // Of another verdict, so an override does not reach it.
            let none = OverrideArgs::default();
            worst = worse(worst, phase(plan, Phase::Purge, &args.wait, &none, context).await?);
        }
    }
    Ok(worst)
}

/// Going on although the gate does not pass: never a boolean.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct OverrideArgs {
    /// Go on although the gate does not pass: the verdict that somebody looked at, as `zdmig gate` prints it
    #[arg(long = "override", value_name = "VERDICT", requires_all = ["ack", "reason", "ticket"])]
    pub(super) verdict: Option<String>,
    /// The codes of all its reasons, each answered for
    #[arg(long, value_name = "CODE,…", value_delimiter = ',', requires = "verdict")]
    ack: Vec<String>,
    /// Why it is right all the same
    #[arg(long, value_name = "TEXT", requires = "verdict")]
    reason: Option<String>,
    /// Where it was decided
    #[arg(long, value_name = "TEXT", requires = "verdict")]
    ticket: Option<String>,
}

impl OverrideArgs {
    fn asked(&self) -> Option<Override> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        self.verdict.clone().map(|verdict| Override {
            verdict,
            codes: self.ack.clone(),
            reason: text(&self.reason),
            ticket: text(&self.ticket),
        })
    }
}

/// Whether a plan has its contract behind it. One that has no step in it is done with it once the
/// gate has let it through to its purge.
pub(super) fn is_through(plan: &Plan, journal: &Journal) -> bool {
    match plan.phase(Phase::Contract).next() {
        Some(_) => journal.phase_done(plan, Phase::Contract),
        None => journal.permitted(plan, Phase::Contract),
    }
}

/// Plans that wait for their contract.
fn ready(journal: &Journal) -> Vec<Plan> {
    let waits = |plan: &&Plan| {
        let filled = [Phase::Expand, Phase::Backfill];
        let takes = [Phase::Contract, Phase::Purge];
        filled.into_iter().all(|phase| journal.phase_done(plan, phase))
            && takes.into_iter().any(|phase| plan.phase(phase).next().is_some())
            && !is_through(plan, journal)
    };
    journal.plans().filter(waits).cloned().collect()
}

pub(super) fn worse(a: Exit, b: Exit) -> Exit {
    match (a, b) {
        (Exit::GateRefuse, _) | (_, Exit::GateRefuse) => Exit::GateRefuse,
        (Exit::Done, other) => other,
        (other, _) => other,
    }
}

/// Asks the gate, and runs a phase on its permit.
pub(super) async fn phase(
    plan: &Plan,
    phase: Phase,
    wait: &WaitArgs,
    wish: &OverrideArgs,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    if journal.phase_done(plan, phase) && plan.phase(phase).next().is_some() {
        Tally::default().report(plan, past(phase), &journal, context);
        return Ok(Exit::Done);
    }
    super::approval::granted(plan, context).await?;
    let server = session.server().await?;
    let options = context.engine_options(context.dialect()?.capabilities(&server).single_writer);
    // The gate is asked under the run lock, as late as can be.
    let cancel = context.cancel;
    let mut unheard = |_: crate::engine::Event<'_>| {};
    let journal =
        start(&mut *session, &options, cancel, wait.time()?, &mut unheard).await?.journal().clone();
    let judged = gate::ask(plan, phase, &journal, context).await?;
    let passes = match (&judged.verdict, wish.asked()) {
        (Verdict::Pass { .. }, _) => true,
        (_, None) => false,
        (_, Some(wish)) => {
            fence::overruled(plan, phase, &judged, &wish, &journal, context)?;
            true
        }
    };
    if !passes {
        if context.reporter.format() == Format::Human {
            let next = format!(
                "\nnext: deal with the reasons above, then: zdmig {phase} {}\n",
                plan.migration
            );
            context.reporter.product(&next);
        }
        return Ok(gate::exit_of(&judged.verdict));
    }
    let permit = fence::raise(plan, phase, wish.asked().as_ref(), &journal, context).await?;
    if let Some(overruled) = permit.overruled() {
        let text = format!(
            "overridden, for {}: {} ({} of {} kept in the journal)",
            overruled.ticket,
            overruled.reason,
            crate::report::counted(overruled.reasons.len() as u64, "reason"),
            overruled.verdict,
        );
        context.reporter.warn(&text);
    }
    let mut tally = Tally::default();
    let mut ears = context.ears();
    let mut hear = |event: crate::engine::Event<'_>| tally.hear(&event, &mut ears);
    let mut engine =
        crate::engine::Engine::started(&mut *session, &options, cancel, &mut hear).await?;
    let done = match phase {
        Phase::Purge => engine.purge(plan, permit).await,
        Phase::Expand | Phase::Backfill | Phase::Contract => engine.contract(plan, permit).await,
    };
    let journal = engine.journal().clone();
    drop(engine);
    if let Err(error) = &done {
        fence::stopped(error, plan, &journal, context).await?;
    }
    done.map_err(|error| {
        Failure::from(error).resumed_by(&format!("zdmig {phase} {}", plan.migration))
    })?;
    tally.report(plan, past(phase), &journal, context);
    Ok(Exit::Done)
}
