//! From a verdict to the phase that it lets through: a version that starts in between is seen.

use super::context::Context;
use super::evidence::gathered;
use super::failure::{Exit, Failure};
use super::gate::{self, Judged};
use crate::dialect::{Fact, SessionError};
use crate::engine::EngineError;
use crate::gate::{Override, Permit, Verdict, cleared, overrule};
use crate::journal::Journal;
use crate::plan::{Fingerprint, Phase, Plan};

/// Writes down which versions do without what goes, so that no other may start from now on, and
/// asks the gate once more: who had started before is seen now. A permit, or what speaks against it.
pub(super) async fn raise(
    plan: &Plan,
    phase: Phase,
    wish: Option<&Override>,
    journal: &Journal,
    context: &Context<'_>,
) -> Result<Permit, Failure> {
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    let policy = &context.settings.gate;
    if !plan.requirement.targets.is_empty() {
        let evidence = gathered(&mut *observer, &plan.requirement.targets, context).await?;
        let migration = plan.migration.to_string();
        let alive = policy.heartbeat_ttl + policy.drain;
        let cleared = cleared(plan, &evidence, policy);
        let at_work = evidence.seen.iter().map(|one| (one.service.clone(), one.version.clone()));
        let admitted: Vec<_> = match wish {
            Some(_) => at_work.filter(|one| !cleared.contains(one)).collect(),
            None => Vec::new(),
        };
        let (cleared, admitted) = (cleared.as_slice(), admitted.as_slice());
        let fence =
            Fact::Fenced { env: &policy.env, migration: &migration, alive, cleared, admitted };
        observer.record(&fence).await?;
    }
    let judged = gate::judge(plan, phase, journal, &mut *observer, context).await?;
    let permit = match (judged.verdict, wish) {
        (Verdict::Pass { permit, .. }, None) => Ok(permit),
        // What was answered for is no more: without an override it goes on as anybody's would.
        (verdict @ Verdict::Pass { .. }, Some(_)) => Err(verdict),
        (verdict, Some(wish)) => {
            let judged = Judged { verdict, ..judged };
            let permit = overruled(plan, phase, &judged, wish, journal, context);
            permit.map_err(|_| judged.verdict)
        }
        (verdict, None) => Err(verdict),
    };
    match permit {
        Ok(permit) => Ok(permit),
        Err(verdict) => {
            lower_unless_begun(plan, journal, context).await?;
            let why: Vec<_> = verdict
                .reasons()
                .iter()
                .map(|one| format!("{} {}", one.code, one.message))
                .collect();
            let why = if why.is_empty() { "PASS".to_owned() } else { why.join("\n  ") };
            let text = format!(
                "a moment later the gate said something else, so nothing was taken away:\n  {why}"
            );
            Err(Failure::new(Exit::Drift, text).hint(format!("zdmig gate {}", plan.migration)))
        }
    }
}

/// The permit of a verdict that somebody answers for.
pub(super) fn overruled(
    plan: &Plan,
    phase: Phase,
    judged: &Judged,
    wish: &Override,
    journal: &Journal,
    context: &Context<'_>,
) -> Result<Permit, Failure> {
    let used: Vec<&str> = journal.overruled().map(|one| one.verdict.as_str()).collect();
    let asked = judged.asked(plan, phase, &context.settings.gate.env);
    let ttl = context.settings.verdict_ttl.value;
    let evidence = Fingerprint::of(&judged.evidence);
    overrule(&asked, &judged.verdict, &evidence, wish, ttl, &used).map_err(|error| {
        let purge = if phase == Phase::Purge { "--purge " } else { "" };
        Failure::new(Exit::GateRefuse, format!("not overridden: {error}"))
            .hint(format!("zdmig gate {purge}{}", plan.migration))
    })
}

/// What a phase came to that stopped at the fence: nothing was done, so it stands no more.
pub(super) async fn stopped(
    error: &EngineError,
    plan: &Plan,
    journal: &Journal,
    context: &Context<'_>,
) -> Result<(), Failure> {
    match error {
        EngineError::Session(SessionError::Entered { .. }) => {
            lower_unless_begun(plan, journal, context).await
        }
        _ => Ok(()),
    }
}

async fn lower_unless_begun(
    plan: &Plan,
    journal: &Journal,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if journal.begun(plan, Phase::Contract) || journal.begun(plan, Phase::Purge) {
        return Ok(());
    }
    lower(plan, context).await
}

/// Lets every version start again: what the migration had taken away is back.
pub(super) async fn lower(plan: &Plan, context: &Context<'_>) -> Result<(), Failure> {
    let migration = plan.migration.to_string();
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    Ok(observer.record(&Fact::Unfenced { migration: &migration }).await?)
}
