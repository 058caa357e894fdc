use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::catalog::Snapshot;
use crate::dialect::{self, Dialect};
use crate::migration::SourceFile;
use crate::report::counted;

/// Save what the database holds, names, types and sizes without any data, so that `plan` and
/// `check` know it without a connection
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Where to; stdout without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut session = context.connect().await?;
    let journal = session.journal().await?;
    let catalog = session.catalog().await?;
    let begun = journal.known().map(ToString::to_string).collect();
    let tables = counted(catalog.tables.len() as u64, "table");
    let text = Snapshot::of(catalog, begun).to_json();
    match &args.output {
        None => context.reporter.product(&text),
        Some(path) => {
            std::fs::write(path, text).map_err(|error| {
                Failure::usage(format!("cannot write `{}`: {error}", path.display()))
            })?;
            let path = path.display();
            context.reporter.product(&format!("{path}: {tables}, no data\n"));
            context.reporter.hint(&format!("use it: zdmig plan --catalog {path}"));
        }
    }
    Ok(Exit::Done)
}

/// Reads a snapshot for the other verbs.
pub(super) fn read(path: &Path) -> Result<Snapshot, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", path.display())))?;
    Snapshot::from_json(&text).map_err(|error| {
        Failure::usage(format!("`{}`: {error}", path.display()))
            .hint("take it again: zdmig snapshot -o FILE")
    })
}

/// The dialect of the database that it was taken of.
pub(super) fn dialect(snapshot: &Snapshot, path: &Path) -> Result<&'static dyn Dialect, Failure> {
    let product = &snapshot.catalog.server.product;
    dialect::of_product(product).ok_or_else(|| {
        Failure::usage(format!("`{}` is of {product}, which zdmig does not know", path.display()))
    })
}

/// The files that had not been begun when it was taken.
pub(super) fn pending(snapshot: &Snapshot, mut files: Vec<SourceFile>) -> Vec<SourceFile> {
    files.retain(|file| !snapshot.begun.contains(&file.id.to_string()));
    files
}
