use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::Context;
use super::evidence::gathered;
use super::failure::{Exit, Failure};
use super::phase::time;
use super::project;
use crate::dialect::Observer;
use crate::engine::dimmable;
use crate::gate::{self, Asked, Question, Trust, Verdict};
use crate::journal::Journal;
use crate::plan::{Phase, Plan};
use crate::report::{
    Format, VerdictReport, render_verdict, render_verdict_html, render_verdict_markdown,
};

/// May we contract? PASS (0), REFUSE (11) or UNKNOWN (12), with the reasons
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name
    pub(super) id: String,
    /// Ask for the purge, which the soak holds back too
    #[arg(long)]
    purge: bool,
    /// Go on asking for so long, until it passes
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
    /// How often to ask while it waits
    #[arg(long, value_name = "TIME", default_value = "15s", requires = "wait")]
    interval: String,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    let plan = taken_up(&args.id, &journal, context)?;
    let phase = if args.purge { Phase::Purge } else { Phase::Contract };
    if let Some(wait) = &args.wait {
        let (wait, interval) = (time("--wait", wait)?, time("--interval", &args.interval)?);
        until_it_passes(&plan, phase, (wait, interval), context).await?;
    }
    let journal = context.journal(&mut *session).await?;
    let verdict = ask(&plan, phase, &journal, context).await?.verdict;
    if context.reporter.format() == Format::Human {
        let next = match (&verdict, phase) {
            (Verdict::Pass { .. }, Phase::Purge) => format!("zdmig purge {}", plan.migration),
            (Verdict::Pass { .. }, _) => format!("zdmig contract {}", plan.migration),
            (_, Phase::Purge) => {
                format!("deal with the reasons above, then: zdmig gate --purge {}", plan.migration)
            }
            _ => format!("deal with the reasons above, then: zdmig gate {}", plan.migration),
        };
        context.reporter.product(&format!("\nnext: {next}\n"));
    }
    Ok(exit_of(&verdict))
}

/// Asks until it passes or the time is over, and tells whom it waits for where that changes.
async fn until_it_passes(
    plan: &Plan,
    phase: Phase,
    (wait, interval): (Duration, Duration),
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut told = String::new();
    loop {
        let journal = context.journal(&mut *context.connect().await?).await?;
        let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
        let verdict = judge(plan, phase, &journal, &mut *observer, context).await?.verdict;
        let Some(reason) = verdict.reasons().first() else { return Ok(()) };
        let more = verdict.reasons().len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let waits = format!("waiting: {} {}{more}", reason.code, reason.message);
        // How long ago somebody was seen changes at each look, and is nothing new.
        if told.split('(').next() != waits.split('(').next() {
            context.reporter.narrate(&waits);
            told = waits;
        }
        let next = tokio::time::Instant::now() + interval;
        if next > deadline {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = context.cancel.cancelled() => return Err(Failure::interrupted()),
        }
    }
}

/// The plan of a migration that was taken up.
pub(super) fn taken_up(
    short: &str,
    journal: &Journal,
    context: &Context<'_>,
) -> Result<Plan, Failure> {
    let files = project::files(context).unwrap_or_default();
    let known = journal.plans().map(|plan| &plan.migration);
    let id = project::one(short, known.chain(files.iter().map(|file| &file.id)))?;
    journal.plan(&id).cloned().ok_or_else(|| {
        Failure::usage(format!("`{id}` is not expanded yet"))
            .hint(format!("zdmig expand {id}"))
            .idle()
    })
}

/// A verdict, and what it rests on.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) evidence: gate::Evidence,
}

impl Judged {
    /// What was asked.
    pub(super) fn asked<'a>(&self, plan: &'a Plan, phase: Phase, env: &'a str) -> Asked<'a> {
        Asked { plan, phase, env, at: self.evidence.at }
    }
}

/// Gathers the evidence, judges it and prints the verdict.
pub(super) async fn ask(
    plan: &Plan,
    phase: Phase,
    journal: &Journal,
    context: &mut Context<'_>,
) -> Result<Judged, Failure> {
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    let judged = judge(plan, phase, journal, &mut *observer, context).await?;
    let (env, ttl) = (context.settings.env.value.clone(), context.settings.verdict_ttl.value);
    let asked = judged.asked(plan, phase, &env);
    let browned = journal.browned(plan).is_some_and(|(_, refused)| refused.is_empty());
    let seen = (judged.evidence.windows.as_slice(), Trust::of(&judged.evidence, browned));
    let report = VerdictReport::new(&asked, &judged.verdict, seen, ttl);
    match context.reporter.format() {
        Format::Json => context.reporter.json(&report),
        Format::Markdown => context.reporter.product(&render_verdict_markdown(&report)),
        Format::Html => context.reporter.product(&render_verdict_html(&report)),
        _ => {
            let pen = context.reporter.pen();
            context.reporter.product(&render_verdict(&report, pen));
        }
    }
    Ok(judged)
}

/// Gathers the evidence and judges it, in silence.
pub(super) async fn judge(
    plan: &Plan,
    phase: Phase,
    journal: &Journal,
    observer: &mut dyn Observer,
    context: &Context<'_>,
) -> Result<Judged, Failure> {
    let policy = &context.settings.gate;
    let mut evidence = gathered(observer, &plan.requirement.targets, context).await?;
    if plan.migration.schema().is_some() {
        let tables: Vec<_> = plan.tables().cloned().collect();
        evidence.usages.iter_mut().for_each(|(_, usage)| usage.in_any_schema(&tables));
    }
    let soaking = (phase == Phase::Purge).then(|| soak_left(plan, journal, evidence.at, context));
    let backfilled = journal.phase_done(plan, Phase::Expand)
        && journal.phase_done(plan, Phase::Backfill)
        && (phase != Phase::Purge || journal.phase_done(plan, Phase::Contract));
    // A rollback takes away something else.
    let forward = [Phase::Contract, Phase::Purge].contains(&phase);
    let browned = journal.browned(plan).filter(|_| forward);
    let dimmable = forward && !dimmable(plan).is_empty();
    let filled = [Phase::Backfill, Phase::Expand];
    let filled = filled.into_iter().find_map(|phase| journal.phase_done_at(plan, phase));
    let age = filled.and_then(|at| (evidence.at - at).to_std().ok()).filter(|_| forward);
    let question = Question { plan, backfilled, soaking, age, browned, dimmable };
    let verdict = gate::judge(&question, &evidence, policy, evidence.at);
    Ok(Judged { verdict, evidence })
}

/// What is left of the soak since the retire.
pub(super) fn soak_left(
    plan: &Plan,
    journal: &Journal,
    at: DateTime<Utc>,
    context: &Context<'_>,
) -> Duration {
    let soak = context.settings.soak.value;
    // A contract without steps of its own is as old as what came before it.
    let since = [Phase::Contract, Phase::Backfill, Phase::Expand]
        .into_iter()
        .find_map(|phase| journal.phase_done_at(plan, phase));
    let passed = since.and_then(|since| (at - since).to_std().ok()).unwrap_or_default();
    soak.saturating_sub(passed)
}

/// The exit code of a verdict.
pub(super) fn exit_of(verdict: &Verdict) -> Exit {
    match verdict {
        Verdict::Pass { .. } => Exit::Done,
        Verdict::Refuse { .. } => Exit::GateRefuse,
        Verdict::Unknown { .. } => Exit::GateUnknown,
    }
}
