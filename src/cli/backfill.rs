use std::time::{Duration, Instant};

use chrono::{DateTime, Days, Local, NaiveTime};

use super::context::{Context, start};
use super::failure::{Exit, Failure};
use super::later::TryArgs;
use super::phase::{Tally, WaitArgs, past, time};
use super::project;
use crate::dialect::Session;
use crate::engine::{EngineError, EngineOptions, Event, help};
use crate::journal::Journal;
use crate::migration::MigrationId;
use crate::plan::{Phase, Plan, Step};
use crate::report::Format;

/// How long a helper waits before it asks again whether there is something to do.
const AGAIN: Duration = Duration::from_millis(500);

/// Fill the rows that exist, prove it, then build indexes and constraints
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all that are expanded without one
    pub(super) id: Option<String>,
    /// What it may cost the application: gentle, default or fast
    #[arg(long, value_name = "NAME")]
    pub(super) pace: Option<String>,
    /// How many workers fill at the same time, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    workers: u8,
    /// Go on past so many rows that fail, and leave them out; one more stops it
    #[arg(long, value_name = "N", default_value_t = 100)]
    failed_max: u64,
    /// Only go on with migrations in whose fills rows failed and were left out; they are tried
    /// again
    #[arg(long)]
    retry_failed: bool,
    /// Stop at a safe point at this time of the day, as 06:00, or at an instant, as
    /// 2027-01-31T06:00:00Z; exits with 20 if something is left
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Stop at a safe point after this long, as 90m; exits with 20 if something is left
    #[arg(long, value_name = "TIME")]
    max_duration: Option<String>,
    /// Serve metrics for Prometheus at this address while it runs, as 127.0.0.1:9187 or :9187.
    /// Environment: ZDMIG_METRICS_LISTEN
    #[arg(long, value_name = "ADDRESS")]
    pub(super) metrics_listen: Option<String>,
    /// Help a zdmig that is at work, from any machine, and take over when it is gone; ends when
    /// all is backfilled. May go through a connection pooler
    #[arg(long, conflicts_with = "wait")]
    join: bool,
    #[command(flatten)]
    pub(super) later: TryArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

impl Args {
    /// When to stop, if at all.
    fn deadline(&self) -> Result<Option<Instant>, Failure> {
        let now = Instant::now();
        let after = self.max_duration.as_ref().map(|text| time("--max-duration", text));
        let at = self.until.as_ref().map(|text| until(text, Local::now()));
        let times = [after.transpose()?, at.transpose()?];
        Ok(times.into_iter().flatten().min().map(|left| now + left))
    }
}

/// How long it is until a time of the day, or an instant.
fn until(text: &str, now: DateTime<Local>) -> Result<Duration, Failure> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok((at.to_utc() - now.to_utc()).to_std().unwrap_or_default());
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| Failure::usage(format!("`--until {text}`: no time; write it like `06:00`")))?;
    let today = now.date_naive().and_time(time);
    // The day on which the clocks change may lack that time, and then the next one has it.
    let at = (0..3).find_map(|day| {
        let at = (today + Days::new(day)).and_local_timezone(now.timezone()).earliest()?;
        (at > now).then_some(at)
    });
    Ok(at.and_then(|at| (at - now).to_std().ok()).unwrap_or_default())
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let deadline = args.deadline()?;
    let files = project::files(context)?;
    let mut session = context.connect_through(args.join).await?;
    let journal = context.journal(&mut *session).await?;
    project::fitting(&files, &journal)?;
    let wanted = match &args.id {
        Some(short) => Some(project::one(short, files.iter().map(|file| &file.id))?),
        None => None,
    };
    if let Some(id) = &wanted
        && journal.plan(id).is_none()
    {
        return Err(Failure::usage(format!("`{id}` is not expanded yet"))
            .hint(format!("zdmig expand {id}"))
            .idle());
    }
    let mut todo = open(&journal, wanted.as_ref());
    if args.retry_failed {
        let failed = |step: &Step| journal.watermark(&step.id).is_some_and(|mark| mark.failed > 0);
        todo.retain(|plan| plan.steps.iter().any(failed));
    }
    if todo.is_empty() {
        if context.reporter.format() == Format::Json {
            context
                .reporter
                .json(&serde_json::json!({ "zdmig_phase": 1, "phase": "backfill", "steps": 0 }));
        } else {
            let nothing = if args.retry_failed { "no row failed" } else { "nothing to backfill" };
            context.reporter.product(&format!("{nothing}\n"));
        }
        return Ok(Exit::Done);
    }
    let options = options(args, deadline, context)?;
    for plan in &todo {
        let done = if args.join {
            join(plan, session, &options, context).await
        } else {
            one(plan, &mut *session, (&options, args.wait.time()?), context).await
        };
        let command = format!("zdmig backfill {}", plan.migration);
        done.map_err(|failure| failure.resumed_by(&command))?;
        session = context.connect_through(args.join).await?;
    }
    Ok(Exit::Done)
}

/// A flag that asks for more than one writer, where there is one at a time.
pub(super) fn one_writer(flag: &str) -> Failure {
    Failure::usage(format!("`{flag}`: this database has one writer at a time")).hint("leave it out")
}

fn options(
    args: &Args,
    deadline: Option<Instant>,
    context: &Context<'_>,
) -> Result<EngineOptions, Failure> {
    let single = context.single_writer()?;
    let refused = [("--workers", args.workers > 1), ("--join", args.join)];
    if let Some((flag, _)) = refused.into_iter().find(|(_, given)| single && *given) {
        return Err(one_writer(flag));
    }
    let mut options = context.engine_options(single);
    options.workers = usize::from(args.workers);
    options.deadline = deadline;
    options.failed_max = args.failed_max;
    Ok(options)
}

fn open(journal: &Journal, wanted: Option<&MigrationId>) -> Vec<Plan> {
    journal
        .plans()
        .filter(|plan| match wanted {
            Some(id) => plan.migration == *id,
            None => journal.phase_done(plan, Phase::Expand),
        })
        .filter(|plan| !journal.phase_done(plan, Phase::Backfill))
        .cloned()
        .collect()
}

async fn one(
    plan: &Plan,
    session: &mut dyn Session,
    (options, wait): (&EngineOptions, Duration),
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let cancel = context.cancel;
    let mut tally = Tally::default();
    let mut ears = context.ears();
    let mut hear = |event: Event<'_>| tally.hear(&event, &mut ears);
    let mut engine = start(session, options, cancel, wait, &mut hear).await?;
    let done = engine.backfill(plan).await;
    let journal = engine.journal().clone();
    done?;
    tally.report(plan, past(Phase::Backfill), &journal, context);
    Ok(())
}

/// Helps whoever is at a plan's fills, until its backfill is done, by others or by us.
async fn join(
    plan: &Plan,
    mut session: Box<dyn Session>,
    options: &EngineOptions,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let mut told = false;
    loop {
        let failure = match one(plan, &mut *session, (options, Duration::ZERO), context).await {
            Err(failure) if failure.is_busy() => failure,
            other => return other,
        };
        let cancel = context.cancel;
        let mut ears = context.ears();
        let fills = session.fills().await?;
        let begun = plan.steps.iter().find(|step| fills.iter().any(|one| one.step == step.id));
        if let Some(step) = begun {
            ears.reporter.narrate(&format!("  … {} (with others)", step.id.slug()));
            let mut hear = |event: Event<'_>| ears.hear(&event);
            let begun = Instant::now();
            let helped = help(&mut *session, step, options, cancel, &mut hear).await;
            let rows = helped?;
            hear(Event::StepFinished { step, rows, took: begun.elapsed() });
        } else if !std::mem::replace(&mut told, true) {
            ears.reporter.narrate(&format!("waits for a fill to help with: {}", failure.message()));
        }
        let journal = context.journal(&mut *session).await?;
        if journal.phase_done(plan, Phase::Backfill) {
            Tally::default().report(plan, past(Phase::Backfill), &journal, context);
            return Ok(());
        }
        if journal.plan(&plan.migration).is_none() {
            return Err(Failure::usage(format!("`{}` was rolled back meanwhile", plan.migration)));
        }
        if options.deadline.is_some_and(|at| Instant::now() >= at) {
            return Err(EngineError::TimeUp.into());
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = context.cancel.cancelled() => return Err(EngineError::Interrupted.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn a_time_of_the_day_is_the_next_one() {
        let now = Local.with_ymd_and_hms(2026, 11, 26, 23, 30, 0).single().expect("a time");
        for (text, minutes) in [("23:45", 15), ("06:00", 390), ("23:30", 24 * 60)] {
            let left = until(text, now).expect(text);
            assert_eq!(left, Duration::from_mins(minutes), "{text}");
        }
        let instant = (now + chrono::Duration::minutes(5)).to_rfc3339();
        assert_eq!(until(&instant, now).expect("an instant"), Duration::from_mins(5));
        let past = (now - chrono::Duration::minutes(5)).to_rfc3339();
        assert_eq!(until(&past, now).expect("an instant"), Duration::ZERO);
        assert!(until("noon", now).is_err());
    }
}
