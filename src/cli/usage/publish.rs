use std::path::{Path, PathBuf};

use crate::catalog::Catalog;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::dialect::Fact;
use crate::gate::Usage;
use crate::report::Format;
use crate::sql::{Ident, TableName};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The manifest, as docs/usage-manifest.md describes it
    file: PathBuf,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let usage = publish(&args.file, None, context).await?;
    for name in unknown(&usage, &context.connect().await?.catalog().await?) {
        context.reporter.warn(&format!("the manifest names {name}, which is not in this database"));
    }
    if context.reporter.format() == Format::Json {
        let report = serde_json::json!({
            "zdmig_usage_published": 1, "service": usage.service, "version": usage.version
        });
        context.reporter.json(&report);
    } else {
        let text = format!("published what {}@{} uses\n", usage.service, usage.version);
        context.reporter.product(&text);
    }
    Ok(Exit::Done)
}

/// Names that the database does not have. A manifest may be older or newer than the schema,
/// so they are no error; most often they are typos, which the gate takes as written.
fn unknown(usage: &Usage, catalog: &Catalog) -> Vec<String> {
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
    let env = &context.settings.env.value;
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    let fact = Fact::Usage { service: &usage.service, version: &usage.version, text: &text };
    observer.record(&fact).await?;
    let kept = observer.witness(env, &[]).await?.manifests;
    let differs = kept.iter().any(|one| {
        one.service == usage.service
            && one.version == usage.version
            && Usage::read(&one.text).ok().as_ref() != Some(&usage)
    });
    if differs {
        return Err(Failure::usage(format!(
            "another manifest was published for {}@{} before, and a version's manifest never changes",
            usage.service, usage.version
        ))
        .hint("give each build its own version"));
    }
    Ok(usage)
}
