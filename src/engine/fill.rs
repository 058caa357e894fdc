//! Between a step and its fill: what is asked for, and what is told of it.

use tokio_util::sync::CancellationToken;

use super::{EngineError, EngineOptions, Event};
use crate::backfill::{self, ChunkEvent, FillError, FillJob};
use crate::dialect::{FillOrder, Session, SessionError};
use crate::plan::{Action, Step, Verify, Walk};

/// Works on a fill that another engine has begun, with workers of our own and without the run
/// lock, until it is done. Nothing of the schema is changed.
///
/// # Errors
/// When it is interrupted, its time is up, or the database fails.
pub async fn help(
    session: &mut dyn Session,
    step: &Step,
    options: &EngineOptions,
    cancel: &CancellationToken,
    notice: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<u64, EngineError> {
    let order = match &step.action {
        Action::Backfill(rows) => {
            FillOrder { step: step.id.clone(), fill: rows.clone(), prove: None }
        }
        _ => match proof(step) {
            Some(order) => order,
            None => return Ok(0),
        },
    };
    let job = job(order, false, options, cancel);
    match backfill::help(session, &job, &mut telling(step, notice)).await {
        // It was taken back, or begun again.
        Err(FillError::Session(SessionError::Fenced)) => Ok(0),
        other => Ok(other?.rows),
    }
}

/// What a proof walks over, where a fill can mend what it finds.
pub(super) fn proof(step: &Step) -> Option<FillOrder> {
    let Action::Verify(Verify { rule, repair: Some(fill), .. }) = &step.action else { return None };
    let mut fill = fill.clone();
    if let Walk::Pages { passes } = &mut fill.walk {
        *passes = 1;
    }
    Some(FillOrder { step: step.id.clone(), fill, prove: Some(rule.clone()) })
}

pub(super) fn job<'a>(
    order: FillOrder,
    anew: bool,
    options: &'a EngineOptions,
    cancel: &'a CancellationToken,
) -> FillJob<'a> {
    FillJob {
        order,
        anew,
        pace: options.pace,
        workers: options.workers,
        step_aside: options.step_aside,
        lock_wait_max: options.lock_wait_max,
        limits: &options.limits,
        owner: &options.owner,
        failed_max: options.failed_max,
        deadline: options.deadline,
        cancel,
    }
}

/// Tells what happens during a fill as what happens during its step.
pub(super) fn telling<'a>(
    step: &'a Step,
    notice: &'a mut (dyn FnMut(Event<'_>) + Send),
) -> impl FnMut(ChunkEvent) + Send + use<'a> {
    move |event| match event {
        ChunkEvent::Done { rows, walked, chunk } => {
            let (changed, failed, took) = (chunk.rows, chunk.failed, chunk.took);
            notice(Event::ChunkDone { step, rows, walked, changed, failed, took });
        }
        ChunkEvent::Waiting { blockers, waited } => {
            notice(Event::LockWaiting { step, waited, blockers: &blockers });
        }
        ChunkEvent::Turned { why } => notice(Event::Turned { step, why: &why }),
        ChunkEvent::Eased { ease, by } => notice(Event::Eased { step, ease, by: by.as_deref() }),
        ChunkEvent::Looked { ease, by } => notice(Event::Looked { step, ease, by: by.as_deref() }),
        ChunkEvent::Noticed { what } => notice(Event::Noticed { step, what: &what }),
    }
}
