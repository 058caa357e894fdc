//! From a verdict to the phase that it lets through: a version that starts in between is seen.

use super::context::Context;
use super::failure::{Exit, Failure};
use super::gate;
use crate::dialect::{Fact, SessionError};
use crate::engine::EngineError;
use crate::gate::{Permit, Verdict, cleared};
use crate::journal::Journal;
use crate::plan::{Phase, Plan};

/// Writes down which versions do without what goes, so that no other may start from now on, and
/// asks the gate once more: who had started before is seen now. A permit, or what speaks against it.
pub(super) async fn raise(
    plan: &Plan,
    phase: Phase,
    journal: &Journal,
    context: &Context<'_>,
) -> Result<Permit, Failure> {
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    let policy = &context.settings.gate;
    if !plan.requirement.targets.is_empty() {
        let witness = observer.witness(&policy.env, &plan.requirement.targets).await?;
        let evidence = gate::gathered(&witness, context).await?;
        let migration = plan.migration.to_string();
        let alive = policy.heartbeat_ttl + policy.drain;
        let cleared = cleared(plan, &evidence);
        let fence =
            Fact::Fenced { env: &policy.env, migration: &migration, alive, cleared: &cleared };
        observer.record(&fence).await?;
    }
    match gate::judge(plan, phase, journal, &mut *observer, context).await?.0 {
        Verdict::Pass { permit, .. } => Ok(permit),
        verdict => {
            lower_unless_begun(plan, journal, context).await?;
            let why: Vec<_> = verdict
                .reasons()
                .iter()
                .map(|one| format!("{} {}", one.code, one.message))
                .collect();
            let text = format!(
                "the gate passed, and a moment later it did not, so nothing was taken away:\n  {}",
                why.join("\n  ")
            );
            Err(Failure::new(Exit::Drift, text).hint(format!("zdmig gate {}", plan.migration)))
        }
    }
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
