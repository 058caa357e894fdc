use super::context::Context;
use super::failure::{Exit, Failure};
use super::project::{self, state};
use crate::journal::{EntryKind, Journal, Progress, Status};
use crate::migration::{Checksum, MigrationId, SourceFile};
use crate::plan::{Phase, Plan};
use crate::report::{Format, Line, StatusReport, counted, render_status};

/// Show where everything stands; with -v also where each setting comes from
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Exit with 20 when something is pending or open
    #[arg(long)]
    exit_code: bool,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let files = if context.settings.migrations.value.is_dir() {
        project::files(context)?
    } else {
        Vec::new()
    };
    let mut session = context.connect().await?;
    let journal = session.journal().await?;
    let server = session.catalog().await?.server;
    let mut ids: Vec<&MigrationId> = files.iter().map(|file| &file.id).collect();
    ids.extend(journal.plans().map(|plan| &plan.migration));
    ids.sort();
    ids.dedup();
    let lines: Vec<_> = ids.iter().map(|id| line(id, &files, &journal)).collect();
    let open = lines.iter().any(|line| line.state != "done");
    let report = StatusReport {
        zdmig_status: 1,
        database: context.url()?.to_string(),
        server: format!("{} {}", server.product, server.version),
        migrations: lines,
        settings: if context.reporter.verbose() { settings(context) } else { Vec::new() },
    };
    if context.reporter.format() == Format::Json {
        context.reporter.json(&report);
    } else {
        let pen = context.reporter.pen();
        context.reporter.product(&render_status(&report, pen));
    }
    Ok(if args.exit_code && open { Exit::Pending } else { Exit::Done })
}

fn line(id: &MigrationId, files: &[SourceFile], journal: &Journal) -> Line {
    let (word, next) = state(id, journal);
    let plan = journal.plan(id);
    let mut detail = plan.map(|plan| detail(plan, journal)).unwrap_or_default();
    let file = files.iter().find(|file| file.id == *id);
    match (plan, file) {
        (Some(plan), Some(file)) if Checksum::of(&file.text) != plan.checksum => {
            detail = "its file was changed after its plan was taken up".into();
        }
        (Some(_), None) => detail = "its file is gone".into(),
        _ => {}
    }
    let open = journal.in_flight(id);
    Line {
        migration: id.to_string(),
        state: word.to_owned(),
        detail,
        open_days: open.then(|| open_days(id, journal)).flatten(),
        next,
    }
}

/// How far a fill has come, or what failed.
fn detail(plan: &Plan, journal: &Journal) -> String {
    for step in &plan.steps {
        if let Some(failure) = journal.failure(&step.id) {
            return format!("failed: {}", failure.lines().next().unwrap_or_default());
        }
    }
    if journal.progress(&plan.migration) == Progress::In(Phase::Backfill)
        || journal.progress(&plan.migration) == Progress::After(Phase::Expand)
    {
        for step in plan.phase(Phase::Backfill) {
            if journal.status(&step.id) != Status::Done
                && let Some(mark) = journal.watermark(&step.id)
            {
                return format!("{} filled", counted(mark.rows, "row"));
            }
        }
    }
    String::new()
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
    ] {
        rows.push((name, time(setting.value), setting.origin.to_string()));
    }
    rows.push(("pace", all.pace.value.0.clone(), all.pace.origin.to_string()));
    if let Some(usage) = &all.usage {
        rows.push(("usage", usage.value.display().to_string(), usage.origin.to_string()));
    }
    rows.into_iter().map(|(name, value, origin)| (name.to_owned(), value, origin)).collect()
}
