use std::path::PathBuf;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::project;
use crate::catalog::Catalog;
use crate::dialect::{Dialect, Session};
use crate::journal::Journal;
use crate::migration::{MigrationId, SourceFile};
use crate::plan::Plan;
use crate::report::{Format, PlanView, render_plan, render_plans_html, render_plans_markdown};

/// Show what would be done: every statement, lock, hazard and undo, by phase
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name; all that are pending without one
    pub(super) id: Option<String>,
    /// Save the plan of one migration, to be reviewed and run with `expand --plan`
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Run the plan on a copy of the schema, without rows, and show what each step locked there
    /// beside what the plan says; exit with 13 where they differ. The copy is a database of its
    /// own on the same server, made with `pg_dump` and dropped again
    #[arg(long)]
    pub(super) verify: bool,
    /// A database to verify the plan on instead: a copy that nobody uses, and that is left changed
    #[arg(long, value_name = "URL", requires = "verify")]
    scratch: Option<String>,
    /// Plan against a snapshot, without a connection
    #[arg(long, value_name = "FILE", conflicts_with = "verify")]
    catalog: Option<PathBuf>,
    /// Exit with 20 when something is pending
    #[arg(long)]
    exit_code: bool,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (known, dialect) = known(args, context).await?;
    let wanted = args
        .id
        .as_ref()
        .map(|id| project::one(id, known.files.iter().map(|file| &file.id)))
        .transpose()?;
    let plans = plans(&known, wanted.as_ref(), dialect, context)?;
    if let Some(path) = &args.output {
        save(&plans, path, context)?;
    }
    let mut views: Vec<_> = plans.iter().map(|plan| PlanView::new(plan, &known.files)).collect();
    for view in &mut views {
        let consumers = &context.settings.gate.consumers;
        view.consumers = consumers.iter().map(|one| one.name.clone()).collect();
    }
    if args.catalog.is_none() {
        approvals(&mut views, context).await?;
    }
    print(&plans, &views, context);
    if args.verify {
        return super::verify::verify(&plans, args.scratch.as_deref(), context).await;
    }
    // What was taken up before is run as it is.
    let pending = plans.iter().filter(|plan| known.journal.plan(&plan.migration).is_none());
    match pending.clone().find_map(refusal) {
        // In JSON the plan itself says what is denied.
        Some(_) if context.reporter.format() == Format::Json => Ok(Exit::Refused),
        Some(failure) => Err(failure),
        None if args.exit_code && !plans.is_empty() => Ok(Exit::Pending),
        None => Ok(Exit::Done),
    }
}

/// Plans what is pending, up to the wanted one and that alone if there is one. Once taken up, a
/// migration is run by the plan that was taken up.
fn plans(
    known: &Known,
    wanted: Option<&MigrationId>,
    dialect: &dyn Dialect,
    context: &Context<'_>,
) -> Result<Vec<Plan>, Failure> {
    let mut world = known.catalog.clone();
    let mut plans: Vec<Plan> = Vec::new();
    for file in &known.files {
        if let Some(plan) = known.journal.plan(&file.id) {
            if wanted == Some(&file.id) {
                plans.push(plan.clone());
            }
            continue;
        }
        if known.journal.adopted(&file.id).is_some() {
            continue;
        }
        let migration = project::parsed(file, dialect, context)?;
        let (plan, after) = project::plan_one(&migration, &world, &known.journal, dialect)?;
        world = after;
        if wanted.is_none_or(|id| *id == file.id) {
            plans.push(plan);
        }
        if wanted == Some(&file.id) {
            break;
        }
    }
    Ok(plans)
}

/// The plans of what is pending, up to one migration, which is the last of them.
pub(super) async fn pending_up_to(
    id: &MigrationId,
    mut files: Vec<SourceFile>,
    session: &mut dyn Session,
    context: &Context<'_>,
) -> Result<Vec<Plan>, Failure> {
    let journal = context.journal(&mut *session).await?;
    project::fitting(&files, &journal)?;
    project::in_order(&files, &journal)?;
    if !journal.is_new(id) {
        return Err(Failure::usage(format!("`{id}` was begun already, or is done"))
            .hint(format!("zdmig status shows where it stands; zdmig plan {id} what is left")));
    }
    files.retain(|file| file.id <= *id);
    let catalog = session.catalog().await?;
    let known = Known { files, journal, catalog };
    plans(&known, None, context.dialect()?, context)
}

/// The plan by which one migration is run, or would be.
pub(super) async fn present(
    id: &MigrationId,
    files: Vec<SourceFile>,
    session: &mut dyn Session,
    context: &Context<'_>,
) -> Result<Plan, Failure> {
    let journal = context.journal(&mut *session).await?;
    if let Some(plan) = journal.plan(id) {
        return Ok(plan.clone());
    }
    let catalog = session.catalog().await?;
    let known = Known { files, journal, catalog };
    let mut plans = plans(&known, Some(id), context.dialect()?, context)?;
    plans
        .pop()
        .ok_or_else(|| Failure::usage(format!("`{id}` has no file, or was run before zdmig came")))
}

/// Who approved what is shown, and how it was rehearsed.
async fn approvals(views: &mut [PlanView<'_>], context: &Context<'_>) -> Result<(), Failure> {
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    for view in views {
        let all = observer.approvals(&view.plan.migration.to_string()).await?;
        let fits = all.iter().filter(|one| one.fingerprint == view.plan.fingerprint.as_str());
        view.approvals = fits.map(ToString::to_string).collect();
        view.required = context.settings.require_approval.value;
        view.rehearsed =
            super::rehearse::latest(&mut *observer, view.plan).await?.map(|found| found.words());
    }
    Ok(())
}

/// Why a plan cannot be run; where, the plan itself shows.
fn refusal(plan: &Plan) -> Option<Failure> {
    let hazard = plan.denied().next()?;
    let message =
        format!("`{}` is refused for {}: {}", plan.migration, hazard.code, hazard.message);
    Some(Failure::new(Exit::Refused, message).hint(hazard.remedy.clone()))
}

/// What a plan is made from.
struct Known {
    files: Vec<SourceFile>,
    journal: Journal,
    catalog: Catalog,
}

/// From the database, or from a snapshot of it.
async fn known(
    args: &Args,
    context: &Context<'_>,
) -> Result<(Known, &'static dyn Dialect), Failure> {
    let files = project::files(context)?;
    if let Some(path) = &args.catalog {
        let snapshot = super::snapshot::read(path)?;
        let files = super::snapshot::pending(&snapshot, files);
        let dialect = super::snapshot::dialect(&snapshot, path)?;
        let journal = Journal::default();
        return Ok((Known { files, journal, catalog: snapshot.catalog }, dialect));
    }
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    project::fitting(&files, &journal)?;
    project::in_order(&files, &journal)?;
    let catalog = session.catalog().await?;
    Ok((Known { files, journal, catalog }, context.dialect()?))
}

fn save(plans: &[Plan], path: &std::path::Path, context: &mut Context<'_>) -> Result<(), Failure> {
    let [plan] = plans else {
        return Err(Failure::usage(format!("{} plans cannot be saved in one file", plans.len()))
            .hint("name the migration: zdmig plan ID -o FILE"));
    };
    std::fs::write(path, plan.to_json())
        .map_err(|error| Failure::usage(format!("cannot write `{}`: {error}", path.display())))?;
    context.reporter.hint(&format!(
        "review it, then: zdmig expand {} --plan {}",
        plan.migration,
        path.display()
    ));
    Ok(())
}

fn print(plans: &[Plan], views: &[PlanView<'_>], context: &mut Context<'_>) {
    if context.reporter.format() == Format::Json {
        match plans {
            [plan] => context.reporter.product(&plan.to_json()),
            several => context.reporter.json(&several),
        }
        return;
    }
    match context.reporter.format() {
        Format::Markdown => {
            let scope = context.settings.migrations.value.display().to_string();
            return context.reporter.product(&render_plans_markdown(views, &scope));
        }
        Format::Html => return context.reporter.product(&render_plans_html(views)),
        _ => {}
    }
    if plans.is_empty() {
        context.reporter.product("nothing is pending\n");
    }
    let paper = context.reporter.paper();
    for (at, view) in views.iter().enumerate() {
        let gap = if at > 0 { "\n" } else { "" };
        context.reporter.product(&format!("{gap}{}", render_plan(view, paper)));
    }
}
