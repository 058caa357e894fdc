use std::path::{Path, PathBuf};

use super::sources::{Place, Source};
use crate::catalog::Catalog;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::dialect::{Fact, Observer};
use crate::gate::{self, Collector, Schema, Usage};
use crate::report::{Format, counted};
use crate::sql::{Ident, TableName};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A manifest, as docs/usage-manifest.md describes it; what --from finds is added to it
    file: Option<PathBuf>,
    /// Where the version's queries are: `sqlx` (what `cargo sqlx prepare` wrote), `sql` (files),
    /// `scan` (literals of source code), `prisma` (schemas) or `models` (dumps of an ORM's), each with a
    /// folder after `=`
    #[arg(long, value_name = "KIND[=DIR]", value_delimiter = ',')]
    from: Vec<Source>,
    /// The service
    #[arg(long, requires = "from", required_unless_present = "file")]
    service: Option<String>,
    /// Its version
    #[arg(long, requires = "from", required_unless_present = "file")]
    version: Option<String>,
    /// The commit it is built from
    #[arg(long, requires = "from")]
    commit: Option<String>,
    /// Say that these are all queries that the version can run
    #[arg(long, requires = "from")]
    complete: bool,
    /// Read the files of a commit, without a checkout
    #[arg(long, value_name = "REF", requires = "from")]
    git_ref: Option<String>,
    /// Files and folders to leave out, by name
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "from")]
    skip: Vec<String>,
    /// Look up names without a schema along the search path; else they may be any schema's
    #[arg(long, requires = "from")]
    by_search_path: bool,
    /// A snapshot of the catalogue instead of the database; with --output
    #[arg(long, value_name = "FILE", requires = "from", requires = "output")]
    catalog: Option<PathBuf>,
    /// Write the manifest instead of publishing it
    #[arg(short, long, value_name = "FILE", requires = "from")]
    output: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if let ([], Some(file)) = (args.from.as_slice(), &args.file) {
        let usage = publish(file, None, context).await?;
        for name in unknown(&usage, &context.connect().await?.catalog().await?) {
            let name = format!("the manifest names {name}, which is not in this database");
            context.reporter.warn(&name);
        }
        told(&usage, context);
        return Ok(Exit::Done);
    }
    let usage = found(args, context).await?;
    let mut text = serde_json::to_string_pretty(&usage).unwrap_or_default();
    text.push('\n');
    for one in usage.unresolved.iter().filter(|one| one.waiver.is_none()) {
        context.reporter.warn(&format!("{} cannot be read to its end: {}", one.at, one.sql));
    }
    if !usage.complete {
        context.reporter.hint(
            "the gate takes it for a part of what the version uses; say --complete where these are \
             all its queries",
        );
    }
    match &args.output {
        Some(path) => {
            std::fs::write(path, text).map_err(|error| {
                Failure::usage(format!("cannot write `{}`: {error}", path.display()))
            })?;
            let path = path.display();
            let text = format!("{path}: what {}@{} uses\n", usage.service, usage.version);
            context.reporter.product(&text);
        }
        None => {
            record(&usage, &text, context).await?;
            told(&usage, context);
        }
    }
    Ok(Exit::Done)
}

fn told(usage: &Usage, context: &mut Context<'_>) {
    if context.reporter.format() == Format::Json {
        let report = serde_json::json!({
            "zdmig_usage_published": 1, "service": usage.service, "version": usage.version
        });
        context.reporter.json(&report);
    } else {
        let text = format!("published what {}@{} uses\n", usage.service, usage.version);
        context.reporter.product(&text);
    }
}

/// The manifest of what the version's own queries say.
async fn found(args: &Args, context: &mut Context<'_>) -> Result<Usage, Failure> {
    let (Some(service), Some(version)) = (&args.service, &args.version) else {
        return Err(Failure::usage("--from needs --service and --version".to_owned()));
    };
    let known = match &args.file {
        Some(path) => Some(read(path, Some((service, version)))?.0),
        None => None,
    };
    let (catalog, dialect) = super::known(args.catalog.as_deref(), context).await?;
    let schema = Schema::new(&catalog, args.by_search_path);
    let mut collector = Collector::new(&schema, dialect.grammar());
    let place = Place {
        git_ref: args.git_ref.as_deref(),
        skip: &args.skip,
        migrations: &context.settings.migrations.value,
    };
    let mut files = 0;
    for source in &args.from {
        files += source.collect(&place, dialect, &mut collector)?;
    }
    let (read, open) = (collector.read() as u64, collector.unresolved() as u64);
    let mut usage = collector.manifest(known, (service, version));
    usage.complete |= args.complete;
    usage.commit = args.commit.clone().or(usage.commit);
    context.reporter.narrate(&format!(
        "{} in {}, {} that cannot be read to the end",
        counted(read, "statement"),
        counted(files as u64, "file"),
        counted(open, "piece")
    ));
    Ok(usage)
}

/// Names that the database does not have. A manifest may be older or newer than the schema,
/// so they are no error; most often they are typos, which the gate takes as written.
pub(in crate::cli) fn unknown(usage: &Usage, catalog: &Catalog) -> Vec<String> {
    let mut names = Vec::new();
    for item in &usage.items {
        let Some(table) = catalog.find(&TableName::from(item.table.clone())) else {
            names.push(format!("table `{}`", item.table));
            continue;
        };
        let lists = [&item.read, &item.write].into_iter().flatten();
        let more = item.nulls.iter().chain(&item.upsert).flatten();
        for column in lists.chain(more) {
            if catalog.column(table, &Ident::new(column.as_str())).is_none() {
                names.push(format!("column `{}.{column}`", item.table));
            }
        }
    }
    names.dedup();
    names
}

/// Publishes a manifest. A version's manifest never changes: a second, different one for
/// the same version is refused.
pub(in crate::cli) async fn publish(
    path: &Path,
    of: Option<(&str, &str)>,
    context: &Context<'_>,
) -> Result<Usage, Failure> {
    let (usage, text) = read(path, of)?;
    record(&usage, &text, context).await?;
    Ok(usage)
}

/// A manifest in a file, of that service and version.
fn read(path: &Path, of: Option<(&str, &str)>) -> Result<(Usage, String), Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read `{shown}`: {error}")))?;
    let usage = Usage::read(&text)
        .map_err(|error| Failure::usage(format!("`{shown}` is no usage manifest: {error}")))?;
    if let Some((service, version)) = of
        && (usage.service != service || usage.version != version)
    {
        return Err(Failure::usage(format!(
            "`{shown}` is the manifest of {}@{}, not of {service}@{version}",
            usage.service, usage.version
        )));
    }
    Ok((usage, text))
}

async fn record(usage: &Usage, text: &str, context: &Context<'_>) -> Result<(), Failure> {
    let env = &context.settings.env.value;
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    let fact = Fact::Usage { service: &usage.service, version: &usage.version, text };
    observer.record(&fact).await?;
    let kept = observer.witness(env, &[]).await?.manifests;
    let differs = kept.iter().any(|one| {
        one.service == usage.service
            && one.version == usage.version
            && Usage::read(&one.text).ok().as_ref() != Some(usage)
    });
    if differs {
        return Err(Failure::usage(format!(
            "another manifest was published for {}@{} before, and a version's manifest never changes",
            usage.service, usage.version
        ))
        .hint("give each build its own version"));
    }
    clear(usage, &mut *observer, context).await
}

/// Lets a version through the fences of what it does without: it was not known when they were
/// raised.
async fn clear(
    usage: &Usage,
    observer: &mut dyn Observer,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let env = &context.settings.env.value;
    let (service, version) = (usage.service.as_str(), usage.version.as_str());
    let fenced = observer.fenced(env, service, version).await?;
    if fenced.is_empty() {
        return Ok(());
    }
    let journal = context.connect().await?.journal().await?;
    let witness = observer.witness(env, &[]).await?;
    let files = crate::cli::evidence::manifests(context)?;
    let none = gate::Inventory::default();
    let policy = &context.settings.gate;
    let evidence = gate::collect(&witness, &none, &files, policy);
    for plan in journal.plans() {
        let migration = plan.migration.to_string();
        let of = (service.to_owned(), version.to_owned());
        if fenced.contains(&migration) && gate::cleared(plan, &evidence, policy).contains(&of) {
            let migration = migration.as_str();
            observer.record(&Fact::Cleared { env, migration, service, version }).await?;
        }
    }
    Ok(())
}
