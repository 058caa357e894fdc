use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::failure::{Exit, Failure};
use super::gate;
use super::project::{self, state};
use crate::backfill::Limits;
use crate::config::Origin;
use crate::dialect::{Blocker, FillState, Observer, SessionError};
use crate::gate::Reason;
use crate::journal::{EntryKind, Journal, Progress, Status};
use crate::migration::{MigrationId, SourceFile};
use crate::plan::{Phase, Plan};
use crate::report::{FillLine, Format, Line, StatusReport, WorkLine, render_status};

/// Show where everything stands; with -v also where each setting comes from
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Exit with 20 when something is pending or open
    #[arg(long)]
    exit_code: bool,
    /// Exit with 20 when a migration has been open for longer: a contract that was forgotten
    #[arg(long, value_name = "DAYS")]
    max_open_days: Option<i64>,
    /// Do not ask the gate whom a migration waits for
    #[arg(long)]
    no_gate: bool,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let files = if context.embedded.is_some() || context.settings.migrations.value.is_dir() {
        project::files(context)?
    } else {
        Vec::new()
    };
    let mut session = context.connect().await?;
    let journal = session.journal().await?;
    let server = session.server().await?;
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    let mut ids = in_schemas(&files, &journal, &mut *observer, context).await?;
    ids.extend(journal.known().cloned());
    ids.sort();
    ids.dedup();
    let fills = session.fills().await?;
    let mut paused = BTreeMap::new();
    for plan in journal.plans().filter(|plan| !journal.phase_done(plan, Phase::Backfill)) {
        let steering = session.steering(&format!("{}/", plan.migration)).await?;
        paused.extend(steering.paused_by.map(|who| (plan.migration.clone(), who)));
    }
    let fences = observer.fences(&context.settings.env.value).await?;
    let dark = observer.dark().await?;
    let steered = Steered { fills: &fills, paused: &paused, fences: &fences, dark: &dark };
    let mut lines: Vec<_> = ids.iter().map(|id| line(id, &files, &journal, &steered)).collect();
    if !args.no_gate {
        let mut asked = BTreeSet::new();
        for line in &mut lines {
            // Of many schemas one stands for those that are at the same.
            let id = line.migration.split('@').next().unwrap_or_default();
            if asked.insert((id.to_owned(), line.state.clone())) {
                line.waits_for = waits_for(line, &journal, &mut *observer, context).await;
            }
        }
    }
    let old = too_old(&lines, args.max_open_days);
    let open = lines.iter().any(|line| line.state != "done");
    let report = StatusReport {
        zdmig_status: 1,
        database: context.url()?.to_string(),
        server: format!("{} {}", server.product, server.version),
        at_work: at_work(&mut *observer).await?,
        migrations: lines,
        settings: if context.reporter.verbose() { settings(context) } else { Vec::new() },
    };
    if context.reporter.format() == Format::Json {
        context.reporter.json(&report);
    } else {
        // What a command needs to go over schemas; nothing where the file says it.
        let flag = context.settings.schemas.as_ref().map(|one| match one.origin {
            Origin::Flag(_) => format!(" --schemas '{}'", one.value),
            _ => String::new(),
        });
        let pen = context.reporter.pen();
        context.reporter.product(&render_status(&report, flag.as_deref(), pen));
    }
    for line in &old {
        context.reporter.warn(line);
    }
    let pending = args.exit_code && open || !old.is_empty();
    Ok(if pending { Exit::Pending } else { Exit::Done })
}

/// What the files are called: in each schema of the pattern, where there is one; where nobody says
/// which schemas, a file that was run in some is shown there alone.
async fn in_schemas(
    files: &[SourceFile],
    journal: &Journal,
    observer: &mut dyn Observer,
    context: &Context<'_>,
) -> Result<Vec<MigrationId>, Failure> {
    let ids = files.iter().map(|file| &file.id);
    let Some(pattern) = &context.settings.schemas else {
        let elsewhere = |id: &MigrationId| {
            journal
                .known()
                .any(|one| one.schema().is_some_and(|schema| id.in_schema(schema) == *one))
        };
        return Ok(ids.filter(|id| !elsewhere(id)).cloned().collect());
    };
    let schemas = observer.schemas(&pattern.value).await?;
    Ok(ids.flat_map(|id| schemas.iter().map(|schema| id.in_schema(schema))).collect())
}

/// Who is at work; a role that may not see it is told the rest.
async fn at_work(observer: &mut dyn Observer) -> Result<Option<WorkLine>, Failure> {
    let work = match observer.at_work().await {
        Err(SessionError::Denied { .. }) => None,
        work => work?,
    };
    Ok(work.map(|work| {
        let waits_for = work.blockers.iter().map(Blocker::who).collect();
        WorkLine { owner: work.owner, since: work.since, waits_for }
    }))
}

/// Migrations that have been open for longer than may be, each in words.
fn too_old(lines: &[Line], most: Option<i64>) -> Vec<String> {
    let over = |line: &&Line| line.open_days.zip(most).is_some_and(|(days, most)| days > most);
    let said = |line: &Line| {
        let days = line.open_days.unwrap_or_default();
        let next = &line.next;
        format!("`{}` has been open for {days} days; it goes on with: {next}", line.migration)
    };
    lines.iter().filter(over).map(said).collect()
}

/// What the gate has against a migration whose turn it is.
async fn waits_for(
    line: &Line,
    journal: &Journal,
    observer: &mut dyn Observer,
    context: &Context<'_>,
) -> Vec<String> {
    let phase = match line.state.as_str() {
        "ready" => Phase::Contract,
        "retired" => Phase::Purge,
        _ => return Vec::new(),
    };
    let plan = journal.plans().find(|plan| plan.migration.to_string() == line.migration);
    let Some(plan) = plan else { return Vec::new() };
    match gate::judge(plan, phase, journal, observer, context).await {
        Ok(judged) => {
            let said = |reason: &Reason| format!("{} {}", reason.code, reason.message);
            judged.verdict.reasons().iter().map(said).collect()
        }
        Err(failure) => vec![format!("the gate, which cannot be asked: {}", failure.message())],
    }
}

/// What is known of the fills beside the journal.
struct Steered<'a> {
    fills: &'a [FillState],
    /// Who wants a migration's backfill to pause.
    paused: &'a BTreeMap<MigrationId, String>,
    /// Migrations behind whose fences only cleared versions may start.
    fences: &'a [String],
    /// Migrations whose columns are away for a while.
    dark: &'a [String],
}

fn line(id: &MigrationId, files: &[SourceFile], journal: &Journal, steered: &Steered<'_>) -> Line {
    let (word, mut next) = state(id, journal);
    let plan = journal.plan(id);
    let fill = plan.and_then(|plan| fill(plan, journal, steered));
    let paused = || steered.paused.get(id).map(|who| format!("paused by {who}"));
    let mut detail = plan
        .and_then(|plan| failure(plan, journal))
        .or_else(|| fill.as_ref().map(FillLine::to_string))
        .or_else(paused)
        .or_else(|| plan.and_then(|plan| fenced(plan, journal, steered)))
        .unwrap_or_default();
    let own = |file: &&SourceFile| match id.schema() {
        Some(schema) => file.id.in_schema(schema) == *id,
        None => file.id == *id,
    };
    let file = files.iter().find(own);
    match (plan, file) {
        (Some(plan), Some(file)) if file.checksum != plan.checksum => {
            detail = "its file was changed after its plan was taken up".into();
            "put the file back".clone_into(&mut next);
        }
        (Some(_), None) => detail = "its file is gone".into(),
        (None, Some(file)) if journal.adopted(id).is_some_and(|one| *one != file.checksum) => {
            detail = "its file was changed after it was adopted".into();
        }
        _ => {}
    }
    if steered.dark.contains(&id.to_string()) {
        detail = "its column is away: a brownout is at work, or was cut off".into();
        next = format!("zdmig restore {id}");
    }
    let open = journal.in_flight(id);
    Line {
        migration: id.to_string(),
        state: word.to_owned(),
        detail,
        open_days: open.then(|| open_days(id, journal)).flatten(),
        fill,
        waits_for: Vec::new(),
        next,
    }
}

/// A fence that stands although nothing was taken away: whoever raised it was cut off.
fn fenced(plan: &Plan, journal: &Journal, steered: &Steered<'_>) -> Option<String> {
    let begun = journal.begun(plan, Phase::Contract) || journal.begun(plan, Phase::Purge);
    let stands = !begun && steered.fences.contains(&plan.migration.to_string());
    stands.then(|| "its fence stands: only versions that do without may start".to_owned())
}

/// What failed.
fn failure(plan: &Plan, journal: &Journal) -> Option<String> {
    let failure = plan.steps.iter().find_map(|step| journal.failure(&step.id))?;
    Some(format!("failed: {}", failure.lines().next().unwrap_or_default()))
}

/// The fill that a migration is at.
fn fill(plan: &Plan, journal: &Journal, steered: &Steered<'_>) -> Option<FillLine> {
    let at = [Progress::In(Phase::Backfill), Progress::After(Phase::Expand)];
    if !at.contains(&journal.progress(&plan.migration)) {
        return None;
    }
    let mut steps = plan.phase(Phase::Backfill);
    let step = steps.find(|step| journal.status(&step.id) != Status::Done)?;
    let rows = journal.watermark(&step.id)?.rows;
    let state = steered.fills.iter().find(|one| one.step == step.id);
    let total = step.estimate.as_ref().map(|estimate| estimate.rows);
    let runners = state.map(|one| one.runners.clone()).unwrap_or_default();
    let share = state.and_then(|one| one.share);
    let rate: f64 = runners.iter().map(|(_, one)| one.rate).sum();
    let paused_by = steered.paused.get(&plan.migration);
    let held_by = runners.iter().find_map(|(_, one)| one.held_by.clone());
    Some(FillLine {
        step: step.id.to_string(),
        rows,
        rows_in_all: total,
        share,
        rows_per_second: rate,
        seconds_left: seconds_left(share, total, rate),
        workers: runners.iter().map(|(_, one)| one.workers).sum(),
        pace: runners.first().map(|(_, one)| one.pace.clone()),
        runners: runners.into_iter().map(|(owner, _)| owner).collect(),
        held_by: paused_by.map(|who| format!("paused by {who}")).or(held_by),
    })
}

/// How long it takes at the rate of now, where both are known.
fn seconds_left(share: Option<f64>, total: Option<u64>, rate: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let left = (1.0 - share?) * total? as f64;
    (rate >= 1.0).then(|| (left / rate).ceil())
}

fn open_days(id: &MigrationId, journal: &Journal) -> Option<i64> {
    let taken_up = journal.entries().iter().rev().find(
        |entry| matches!(&entry.kind, EntryKind::Planned { plan } if plan.migration == *id),
    )?;
    Some((chrono::Utc::now() - taken_up.at).num_days())
}

fn settings(context: &Context<'_>) -> Vec<(String, String, String)> {
    let all = &context.settings;
    let time = |time: std::time::Duration| humantime::format_duration(time).to_string();
    let mut rows: Vec<(&str, String, String)> = Vec::new();
    if let Some(url) = &all.database_url {
        rows.push(("database_url", url.value.to_string(), url.origin.to_string()));
    }
    rows.push(("config", all.config.value.display().to_string(), all.config.origin.to_string()));
    rows.push((
        "migrations",
        all.migrations.value.display().to_string(),
        all.migrations.origin.to_string(),
    ));
    rows.push(("env", all.env.value.clone(), all.env.origin.to_string()));
    for (name, setting) in [
        ("lock_timeout", &all.lock_timeout),
        ("lock_wait_max", &all.lock_wait_max),
        ("soak", &all.soak),
        ("heartbeat_ttl", &all.heartbeat_ttl),
        ("drain", &all.drain),
        ("verdict_ttl", &all.verdict_ttl),
        ("min_observation", &all.min_observation),
        ("min_age", &all.min_age),
        ("rollback_window", &all.rollback_window),
        ("stalled_after", &all.stalled_after),
        ("max_lock_wait", &all.max_lock_wait),
    ] {
        rows.push((name, time(setting.value), setting.origin.to_string()));
    }
    for (signal, limit) in &all.limits.of {
        let place = Origin::File(all.config.value.display().to_string());
        let default = Limits::default().of.get(signal) == Some(limit);
        let origin = if default { Origin::Default } else { place };
        rows.push((signal.name(), limit.said(*signal), origin.to_string()));
    }
    if let Some(webhook) = &all.webhook {
        rows.push(("webhook", "not shown".to_owned(), webhook.origin.to_string()));
    }
    if let Some(listen) = &all.metrics_listen {
        rows.push(("metrics_listen", listen.value.clone(), listen.origin.to_string()));
    }
    if let Some(schemas) = &all.schemas {
        rows.push(("schemas", schemas.value.clone(), schemas.origin.to_string()));
    }
    if let Some(after) = &all.check_after {
        rows.push(("check_after", after.value.clone(), after.origin.to_string()));
    }
    if let Some(templates) = &all.templates {
        let folder = templates.value.display().to_string();
        rows.push(("templates", folder, templates.origin.to_string()));
    }
    let approvals = &all.require_approval;
    rows.push(("require_approval", approvals.value.to_string(), approvals.origin.to_string()));
    let (ratio, errors) = (&all.max_p99_ratio, &all.max_errors);
    rows.push(("max_p99_ratio", ratio.value.to_string(), ratio.origin.to_string()));
    rows.push(("max_errors", errors.value.to_string(), errors.origin.to_string()));
    rows.push(("pace", all.pace.value.0.clone(), all.pace.origin.to_string()));
    if let Some(usage) = &all.usage {
        rows.push(("usage", usage.value.display().to_string(), usage.origin.to_string()));
    }
    rows.into_iter().map(|(name, value, origin)| (name.to_owned(), value, origin)).collect()
}
