use serde::Serialize;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::{evidence, usage};
use crate::catalog::Catalog;
use crate::gate::{Evidence, Inventory, Newcomer, Reason, Severity, Usage, admit, collect};
use crate::journal::{Journal, Status};
use crate::plan::{Action, Phase, Plan};
use crate::report::{Format, render_reasons};
use crate::sql::ColumnRef;

/// May this version start here? PASS (0), REFUSE (11) or UNKNOWN (12): a hook before a deploy, and
/// before a rollback of the application
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    #[arg(long)]
    service: String,
    /// Its version
    #[arg(long)]
    version: String,
}

#[derive(Serialize)]
struct Report<'a> {
    zdmig_can_deploy: u32,
    env: &'a str,
    service: &'a str,
    version: &'a str,
    result: &'static str,
    reasons: &'a [Reason],
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut session = context.connect().await?;
    let (journal, catalog) = (session.journal().await?, session.catalog().await?);
    drop(session);
    let env = context.settings.env.value.clone();
    let (service, version) = (args.service.as_str(), args.version.as_str());
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    let witness = observer.witness(&env, &[]).await?;
    let none = Inventory::default();
    let files = evidence::manifests(context)?;
    let mut evidence = collect(&witness, &none, &files, &context.settings.gate);
    let fenced = observer.fenced(&env, service, version).await?;
    let taken: Vec<&Plan> = journal
        .plans()
        .filter(|plan| {
            let begun = [Phase::Contract, Phase::Purge].iter().any(|one| journal.begun(plan, *one));
            begun || fenced.contains(&plan.migration.to_string())
        })
        .collect();
    let missing = missing(&of(&evidence, service, version), &catalog, &taken);
    let tenants = taken.iter().filter(|plan| plan.migration.schema().is_some());
    let tables: Vec<_> = tenants.flat_map(|plan| plan.tables()).cloned().collect();
    evidence.usages.iter_mut().for_each(|(_, usage)| usage.in_any_schema(&tables));
    let usages = of(&evidence, service, version);
    let reasons = admit(&Newcomer {
        service,
        version,
        usages: &usages,
        taken: &taken,
        filling: &filling(&journal),
        missing: &missing,
    });
    let (result, exit) = match reasons.first().map(|reason| reason.severity) {
        Some(Severity::Refuse) => ("REFUSE", Exit::GateRefuse),
        Some(Severity::Unknown) => ("UNKNOWN", Exit::GateUnknown),
        None => ("PASS", Exit::Done),
    };
    if context.reporter.format() == Format::Json {
        let reasons = &reasons;
        let report = Report { zdmig_can_deploy: 1, env: &env, service, version, result, reasons };
        context.reporter.json(&report);
    } else {
        let pen = context.reporter.pen();
        let word = match exit {
            Exit::Done => pen.good(result),
            Exit::GateRefuse => pen.bad(result),
            _ => pen.warn(result),
        };
        let mut out = format!("can-deploy {service}@{version}   {env}   {word}\n");
        if !reasons.is_empty() {
            out.push('\n');
        }
        out.push_str(&render_reasons(&reasons, pen));
        context.reporter.product(&out);
    }
    Ok(exit)
}

/// The manifests of a version.
fn of<'a>(evidence: &'a Evidence, service: &str, version: &str) -> Vec<&'a Usage> {
    let own = evidence.usages.iter().filter(|((of, one), _)| of == service && one == version);
    own.map(|(_, usage)| usage).collect()
}

/// New columns of migrations that are expanded and not filled yet.
fn filling(journal: &Journal) -> Vec<(&Plan, ColumnRef)> {
    let open = journal.plans().filter(|plan| {
        journal.begun(plan, Phase::Expand) && !journal.phase_done(plan, Phase::Backfill)
    });
    let new = |plan: &Plan, wanted: &ColumnRef| {
        plan.steps.iter().any(|step| match &step.action {
            Action::AddColumn(add) => add.table == wanted.table && add.column.name == wanted.column,
            _ => false,
        })
    };
    let mut filling = Vec::new();
    for plan in open {
        for step in plan.phase(Phase::Backfill) {
            let Action::Backfill(fill) = &step.action else { continue };
            if journal.status(&step.id) == Status::Done {
                continue;
            }
            let set = fill.set.iter().map(|one| ColumnRef::new(&fill.table, &one.column));
            filling.extend(set.filter(|column| new(plan, column)).map(|column| (plan, column)));
        }
    }
    filling
}

/// What it names and is not there, but what was taken away, which is said better.
fn missing(usages: &[&Usage], catalog: &Catalog, taken: &[&Plan]) -> Vec<String> {
    let gone: Vec<String> = taken
        .iter()
        .flat_map(|plan| &plan.requirement.targets)
        .map(|target| format!("{}`", target.column.column))
        .collect();
    let mut missing: Vec<_> =
        usages.iter().flat_map(|usage| usage::unknown(usage, catalog)).collect();
    missing.retain(|one| !gone.iter().any(|gone| one.ends_with(gone.as_str())));
    missing.sort();
    missing.dedup();
    missing
}
