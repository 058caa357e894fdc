use std::collections::BTreeMap;

use serde::Serialize;

use super::context::{Context, lock};
use super::evidence;
use super::failure::{Exit, Failure};
use crate::dialect::{self, DatabaseUrl, Measure, Measured, Options};
use crate::engine::{Engine, Event};
use crate::gate::Verdict;
use crate::plan::{Plan, Step};
use crate::report::{Format, table};

/// What was predicted of one step, and what was measured.
#[derive(Serialize)]
struct Line {
    step: String,
    predicted: BTreeMap<String, String>,
    measured: BTreeMap<String, String>,
    rewritten: Vec<String>,
    scanned: Vec<String>,
    said: Vec<String>,
    same: bool,
}

/// Runs plans on a database that holds the schema, the one that is named or a copy of its own,
/// and shows for each step what it locked there beside what the plan says.
pub(super) async fn verify(
    plans: &[Plan],
    scratch: Option<&str>,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    if let Some(url) = scratch {
        return on(plans, DatabaseUrl::new(url.to_owned())?, context).await;
    }
    let dialect = context.dialect()?;
    let copy = dialect.copy(&context.url()?).await.map_err(|error| {
        Failure::from(error)
            .hint("mend that, or name a copy of the schema that nobody uses with --scratch URL")
    })?;
    let exit = on(plans, copy.url.clone(), context).await;
    if let Some((url, sql)) = &copy.drop {
        dialect.attach(url, "zdmig").await?.client.script(sql).await?;
    }
    exit
}

async fn on(plans: &[Plan], url: DatabaseUrl, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let options = Options {
        lock_timeout: context.settings.lock_timeout.value,
        connect_timeout: super::context::CONNECT_LIMIT,
        measure: Measure::Everything,
        pooled: false,
        beside: None,
    };
    let dialect = dialect::for_url(&url)?;
    let mut session = dialect.connect(&url, &options).await?;
    let can = dialect.capabilities(&session.server().await?);
    let options = context.engine_options(can.single_writer);
    lock(&mut *session, &options.owner, context.cancel, std::time::Duration::ZERO).await?;
    let evidence = evidence::at_work(&url, context).await?;
    let mut lines = Vec::new();
    for plan in plans {
        let permit = || match crate::gate::nobody_at_work(plan, &evidence) {
            Verdict::Pass { permit, .. } => Ok(permit),
            _ => Err(Failure::usage("applications are at work on the scratch database")),
        };
        let mut hear = |event: Event<'_>| {
            if let Event::Measured { step, measured } = event {
                lines.push(compare(step, measured));
            }
        };
        let mut engine =
            Engine::started(&mut *session, &options, context.cancel, &mut hear).await?;
        engine.take_up(plan).await?;
        engine.expand(plan).await?;
        engine.backfill(plan).await?;
        engine.contract(plan, permit()?).await?;
        engine.purge(plan, permit()?).await?;
    }
    Ok(tell(&lines, context))
}

fn compare(step: &Step, measured: &Measured) -> Line {
    let predicted: BTreeMap<_, _> =
        step.lowered.locks.iter().map(|lock| (lock.object.clone(), lock.mode.clone())).collect();
    Line {
        step: step.id.to_string(),
        predicted,
        measured: measured.locks.clone(),
        rewritten: measured.rewritten.clone(),
        scanned: measured.scanned.clone(),
        said: measured.said.clone(),
        same: measured.was_told(&step.lowered.locks),
    }
}

fn tell(lines: &[Line], context: &mut Context<'_>) -> Exit {
    let exit = if lines.iter().all(|line| line.same) { Exit::Done } else { Exit::Drift };
    if context.reporter.format() == Format::Json {
        context.reporter.json(&serde_json::json!({ "zdmig_verify": 1, "steps": lines }));
        return exit;
    }
    let shown = |locks: &BTreeMap<String, String>| {
        let words: Vec<_> =
            locks.iter().map(|(table, mode)| format!("{mode} on {table}")).collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    };
    let rows = lines.iter().map(|line| {
        let mut measured = shown(&line.measured);
        for (what, tables) in [("writes anew", &line.rewritten), ("reads", &line.scanned)] {
            if !tables.is_empty() {
                measured.push_str(&format!("; {what} {}", tables.join(", ")));
            }
        }
        let verdict = if line.same { "same" } else { "DIFFERS" };
        vec![line.step.clone(), shown(&line.predicted), measured, verdict.to_owned()]
    });
    let text = table(&["step", "predicted", "measured", ""], rows.collect());
    context.reporter.product(&format!("\nmeasured on the scratch database\n{text}"));
    exit
}
