//! Everything that must be there before the curtain rises: a database with rows, scripts, and whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tempfile::TempDir;

use super::{Args, statements};
use crate::catalog::{Catalog, TableKind};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::dialect::{self, Counted, DatabaseUrl, Dialect, SessionError, Site, Stage};
use crate::gate::{Reader, Schema};
use crate::plan::Plan;
use crate::rehearsal::{LoadOrder, Script};
use crate::sql::{TableName, mentions};

/// What connections of the load are called.
pub(super) const NAME: &str = "zdmig workload";

/// A database with rows, and what is done to it.
pub(super) struct Theatre {
    pub(super) stage: Stage,
    pub(super) dialect: &'static dyn Dialect,
    pub(super) order: LoadOrder,
    pub(super) code: Vec<Code>,
    /// The tables that the last plan touches and that are there.
    pub(super) tables: Vec<TableName>,
    pub(super) rows: BTreeMap<String, u64>,
}

/// Whose a script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// It uses what contract takes away.
    Old,
    /// It needs what expand adds.
    New,
    /// Neither.
    Both,
}

impl Code {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
            Self::Both => "both",
        }
    }
}

/// The folder of a server or a file of its own.
pub(super) fn folder() -> Result<TempDir, Failure> {
    let made = tempfile::Builder::new().prefix("zdmig-rehearsal-").tempdir();
    made.map_err(|error| Failure::usage(format!("cannot make a folder: {error}")))
}

/// What is lacking on this machine, or for made-up rows, is no privilege on the database.
fn hindered(error: SessionError) -> Failure {
    match error {
        SessionError::Denied { message } => Failure::usage(message),
        error => error.into(),
    }
}

/// Reads scripts: `FILE` or `FILE@WEIGHT`.
pub(super) fn scripts(given: &[String]) -> Result<Vec<Script>, Failure> {
    let script = |given: &String| {
        let weighed = given.rsplit_once('@').and_then(|(path, weight)| {
            Some((path, weight.parse::<u32>().ok().filter(|one| *one > 0)?))
        });
        let (path, weight) = weighed.unwrap_or((given, 1));
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("`{path}` cannot be read: {error}"))
                .hint("name a script in pgbench's form with --workload")
        })?;
        Script::parse(path, weight, &text).map_err(|error| Failure::usage(error.to_string()))
    };
    given.iter().map(script).collect()
}

/// Opens the database in which it is rehearsed.
pub(super) async fn stage(
    args: &Args,
    folder: &Path,
    context: &mut Context<'_>,
) -> Result<Stage, Failure> {
    let from = context.url()?;
    let site = match (&args.scratch, &args.template) {
        (Some(text), _) => Site::Given(address(text)?),
        (None, Some(name)) => Site::Like(from.clone(), name.clone()),
        (None, None) => Site::Own,
    };
    context.reporter.narrate("makes a database for it");
    context.dialect()?.stage(&from, &site, folder).await.map_err(|error| match error {
        SessionError::Failed { message, .. } => Failure::usage(message).hint(
            "let this role read the tables, or name a database that is ready for it with --scratch or --template",
        ),
        error => hindered(error),
    })
}

/// An address, or `env:NAME` where it holds a password that nobody is to see in a list of processes.
fn address(text: &str) -> Result<DatabaseUrl, Failure> {
    let found = match text.strip_prefix("env:") {
        Some(name) => crate::cli::variable(name).ok_or_else(|| {
            Failure::usage(format!("`--scratch {text}`: the variable is not set"))
        })?,
        None => text.to_owned(),
    };
    Ok(DatabaseUrl::new(found)?)
}

/// Makes it ready: the last of the plans is the one that is rehearsed, those before it are run first.
pub(super) async fn theatre(
    args: &Args,
    plans: &[Plan],
    mut scripts: Vec<Script>,
    mut stage: Stage,
    context: &mut Context<'_>,
) -> Result<Theatre, Failure> {
    let from = context.url()?;
    let dialect = dialect::for_url(&stage.url)?;
    let Some((plan, before)) = plans.split_last() else {
        return Err(Failure::usage("there is nothing to rehearse"));
    };
    unused(plan, &stage.url, context).await?;
    // As the database itself is, before anything is done.
    let mut catalog = catalog_of(&stage.url, context).await?;
    let counted = if args.from_statements {
        // Beside them a script counts as much as all of them.
        for one in &mut scripts {
            one.weight = one.weight.saturating_mul(statements::ALL);
        }
        Some(statements::taken(statements::counted(context).await?, &catalog))
    } else {
        None
    };
    let texts = counted.iter().flatten().map(|one| one.text.as_str());
    let texts: Vec<&str> = scripts.iter().flat_map(Script::statements).chain(texts).collect();
    if args.sample {
        let tables = touched(plans, &texts, &catalog);
        context.reporter.narrate(&format!("copies rows: {}", listed(&tables)));
        let brought = dialect.sample(&from, &stage.url, &tables, args.rows).await;
        match brought.map_err(hindered)? {
            0 => context
                .reporter
                .warn("no row was copied: the tables have rows, or the real ones have none"),
            _ => stage.words.push_str(", with a sample of the real rows"),
        }
    }
    if !before.is_empty() {
        super::act::through(before, &stage.url, context).await?;
        catalog = catalog_of(&stage.url, context).await?;
    }
    let tables = touched(std::slice::from_ref(plan), &texts, &catalog);
    context.reporter.narrate(&format!("makes up rows where there are none: {}", listed(&tables)));
    let rows = dialect.invent(&from, &stage.url, &tables, args.rows).await.map_err(hindered)?;
    let mut order = LoadOrder {
        dialect,
        url: stage.url.clone(),
        name: NAME.to_owned(),
        scripts,
        rate: args.rate,
        connections: args.connections,
    };
    let mut code = whose(plan, &order, &catalog).await?;
    if let Some(counted) = counted {
        code.extend(add_counted(plan, &counted, &mut order, &catalog, context).await?);
    }
    Ok(Theatre { stage, dialect, order, code, tables, rows })
}

/// Refuses a database in which it was rehearsed, or run, before.
async fn unused(plan: &Plan, url: &DatabaseUrl, context: &Context<'_>) -> Result<(), Failure> {
    let options = super::act::options(context);
    let journal = dialect::for_url(url)?.connect(url, &options).await?.journal().await?;
    if journal.is_new(&plan.migration) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{}` was run in the scratch database before", plan.migration))
        .hint("give a fresh one; `--template NAME` makes a copy each time"))
}

async fn catalog_of(url: &DatabaseUrl, context: &Context<'_>) -> Result<Catalog, Failure> {
    let options = super::act::options(context);
    Ok(dialect::for_url(url)?.connect(url, &options).await?.catalog().await?)
}

fn listed(tables: &[TableName]) -> String {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// The tables that plans touch and that statements name, as far as they are there already.
fn touched(plans: &[Plan], texts: &[&str], catalog: &Catalog) -> Vec<TableName> {
    let touched = plans
        .iter()
        .flat_map(|plan| plan.touches.iter().map(|column| &column.table).chain(plan.tables()));
    let touched: BTreeSet<&TableName> = touched.collect();
    let named = |name: &TableName| texts.iter().any(|text| mentions(text, name.name.as_str()));
    let there = catalog.tables.values().filter(|table| table.kind != TableKind::View);
    let there = there.map(|table| &table.name);
    there.filter(|name| touched.contains(name) || named(name)).cloned().collect()
}

/// Adds what ran on the database itself; whose each of it is.
async fn add_counted(
    plan: &Plan,
    counted: &[Counted],
    order: &mut LoadOrder,
    catalog: &Catalog,
    context: &mut Context<'_>,
) -> Result<Vec<Code>, Failure> {
    let (taken, mut left_out) =
        statements::scripts(counted, order.dialect, &order.url, catalog).await?;
    let (schema, mut code) = (Schema::new(catalog, true), Vec::new());
    for script in taken {
        // What ran there and fails here, fails for want of something that is there.
        match order.attempt(&script).await {
            Ok(()) => {
                code.push(used(plan, &script, order.dialect, &schema));
                order.scripts.push(script);
            }
            Err(error) => left_out.push((script.name.clone(), error.to_string())),
        }
    }
    for (name, why) in left_out {
        context.reporter.warn(&format!("left out: {name}: {why}"));
    }
    if order.scripts.is_empty() {
        return Err(Failure::usage("no statement is left that could be run")
            .hint("give scripts with --workload"));
    }
    Ok(code)
}

/// Whose each script is: what fails before expand is new code, if it does not fail after it; what uses a target
/// is old code.
async fn whose(plan: &Plan, order: &LoadOrder, catalog: &Catalog) -> Result<Vec<Code>, Failure> {
    let schema = Schema::new(catalog, true);
    let mut all = Vec::new();
    for script in &order.scripts {
        if order.attempt(script).await.is_err() {
            all.push(Code::New);
            continue;
        }
        all.push(used(plan, script, order.dialect, &schema));
    }
    Ok(all)
}

/// Old code is what uses something that contract takes away, or may.
fn used(plan: &Plan, script: &Script, dialect: &dyn Dialect, schema: &Schema<'_>) -> Code {
    let mut reader = Reader::new(schema, dialect.grammar());
    let uses = plan.requirement.targets.iter().any(|target| {
        script.statements().any(|sql| !reader.explain(sql, &target.column).is_none())
    });
    if uses { Code::Old } else { Code::Both }
}
