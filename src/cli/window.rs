//! The time that a maintenance window has, and what of the work fits into it.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::project;
use crate::catalog::Catalog;
use crate::journal::{Journal, Progress, Status};
use crate::migration::SourceFile;
use crate::plan::{Action, Blocks, Held, Phase, Plan, Step};
use crate::report::counted;

/// Rows a second that are gone through where a plan says no time: read, and written anew. As the plan's
/// own figures, an order of magnitude.
const READ_ROWS: u64 = 2_000_000;
const REWRITTEN_ROWS: u64 = 200_000;

/// A window that is open.
pub(super) struct Window {
    begun: Instant,
    length: Duration,
    /// Is cancelled when it closes, or when somebody wants an end before.
    pub(super) closed: CancellationToken,
}

/// How long something takes, as far as that is known before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Work {
    seconds: u64,
    /// Steps of which it is not known.
    unknown: usize,
}

impl Work {
    /// Nothing is done in no time.
    fn time(self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }
}

impl Window {
    /// Opens it now.
    pub(super) fn open(length: Duration, cancel: &CancellationToken) -> Self {
        let closed = cancel.child_token();
        let closes = closed.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(length) => closes.cancel(),
                () = closes.cancelled() => {}
            }
        });
        Self { begun: Instant::now(), length, closed }
    }

    fn left(&self) -> Duration {
        self.length.saturating_sub(self.begun.elapsed())
    }

    /// Whether the time is up, and not somebody in a hurry.
    fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Refuses before anything is done what cannot be done in time.
    pub(super) fn fits(
        &self,
        files: &[SourceFile],
        journal: &Journal,
        catalog: &Catalog,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let mut world = catalog.clone();
        let mut all = Work::default();
        let mut lines = String::new();
        for file in files {
            let planned = match journal.plan(&file.id) {
                Some(plan) => Some((plan.clone(), None)),
                None => project::parse(file, context)
                    .and_then(|migration| {
                        project::plan_one(&migration, &world, journal, context.dialect()?)
                    })
                    .map(|(plan, after)| Some((plan, Some(after))))
                    // The first must be plannable; a later one may rest on what no plan can foresee.
                    .or_else(|failure| if lines.is_empty() { Err(failure) } else { Ok(None) })?,
            };
            let work = match &planned {
                Some((plan, _)) => left_of(plan, journal, &world),
                None => Work { seconds: 0, unknown: 1 },
            };
            all.seconds += work.seconds;
            all.unknown += work.unknown;
            lines.push_str(&format!("\n  {}: about {}", file.id, said(work.time())));
            if let Some((_, Some(after))) = planned {
                world = after;
            }
        }
        if all.seconds > self.length.as_secs() {
            return Err(Failure::new(
                Exit::Refused,
                format!(
                    "about {} of work do not fit into a window of {}, so nothing was begun:{lines}",
                    said(all.time()),
                    said(self.length)
                ),
            )
            .hint(format!("zdmig apply --window {}s", all.seconds + all.seconds / 4 + 1))
            .hint("or up to an earlier migration; or expand and backfill beside the application, which need no window"));
        }
        let unknown = match all.unknown {
            0 => String::new(),
            n => format!("; how long {} takes is not known before", counted(n as u64, "step")),
        };
        context.reporter.narrate(&format!(
            "about {} of work in a window of {}{unknown}",
            said(all.time()),
            said(self.length)
        ));
        Ok(())
    }

    /// Whether a migration can still be done; it is not begun where it cannot.
    pub(super) fn has_time(
        &self,
        plan: &Plan,
        journal: &Journal,
        catalog: &Catalog,
    ) -> Result<(), Failure> {
        let (work, left) = (left_of(plan, journal, catalog), self.left());
        if self.is_over() || work.seconds > left.as_secs() {
            let message = format!(
                "stopped before {}: it takes about {}, and {} are left of the window",
                plan.migration,
                said(work.time()),
                said(left)
            );
            return Err(Failure::new(Exit::Pending, message).hint(
                "what was done before is done; go on in the next one: zdmig apply --window …",
            ));
        }
        Ok(())
    }

    /// What is told where it closed while a migration was under way.
    pub(super) fn told(&self, failure: Failure, plan: &Plan, journal: &Journal) -> Failure {
        if failure.exit() != Exit::Interrupted || !self.is_over() {
            return failure;
        }
        let id = &plan.migration;
        let (state, serves) = match journal.progress(id) {
            Progress::Pending => ("not begun", "the code from before"),
            Progress::After(Phase::Purge) => ("done", "the new code"),
            _ if journal.begun(plan, Phase::Purge) || journal.begun(plan, Phase::Contract) => {
                ("being contracted", "the new code")
            }
            Progress::After(Phase::Backfill) => ("ready", "the code from before and the new one"),
            _ => ("expanded, and not wholly filled", "the code from before"),
        };
        Failure::new(
            Exit::Pending,
            format!("the window is over: {id} is {state}, and {serves} can be started"),
        )
        .hint("the next window goes on from here: zdmig apply --window …")
        .hint(format!(
            "or beside the application: zdmig backfill {id}; or back: zdmig rollback {id}"
        ))
    }
}

/// What is left of a plan.
fn left_of(plan: &Plan, journal: &Journal, catalog: &Catalog) -> Work {
    let mut work = Work::default();
    for step in plan.steps.iter().filter(|step| journal.status(&step.id) != Status::Done) {
        match seconds(step, catalog) {
            Some(seconds) => {
                let rows = step.estimate.as_ref().map_or(0, |estimate| estimate.rows).max(1);
                let filled = journal.watermark(&step.id).map_or(0, |mark| mark.rows).min(rows);
                work.seconds += seconds - seconds * filled / rows;
            }
            None => work.unknown += 1,
        }
    }
    work
}

/// How long a step takes, by its estimate, or by the rows that it holds a lock over.
fn seconds(step: &Step, catalog: &Catalog) -> Option<u64> {
    if let Some(estimate) = &step.estimate {
        return estimate.seconds;
    }
    let rows = |object: &str| {
        let table = |name: &str| name == object || object.ends_with(&format!(".{name}"));
        catalog.tables.iter().find(|(name, _)| table(&name.to_string())).map(|(_, one)| one.rows)
    };
    let mut all = 0;
    for lock in &step.lowered.locks {
        all += match lock.held {
            Held::WhileRewriting => rows(&lock.object)? / REWRITTEN_ROWS,
            Held::WhileScanning => rows(&lock.object)? / READ_ROWS,
            // What the author writes to rows may be few or all of them.
            _ if lock.blocks == Blocks::SameRows && matches!(step.action, Action::Verbatim(_)) => {
                return None;
            }
            _ => 0,
        };
    }
    Some(all)
}

/// Whole seconds, as they are typed.
fn said(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
