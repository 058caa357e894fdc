//! The author's files beside what the database says was done with them.

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::catalog::Catalog;
use crate::dialect::Dialect;
use crate::journal::{Journal, Progress};
use crate::migration::{
    Migration, MigrationId, ParseError, PlaceholderError, SourceFile, filled, read_folder,
};
use crate::plan::{Phase, Plan, Severity};
use crate::planner;
use crate::report::snippet;

/// The files of the migrations folder, in order.
pub(super) fn files(context: &Context<'_>) -> Result<Vec<SourceFile>, Failure> {
    let files = in_folder(context)?;
    let Some(schema) = &context.schema else { return Ok(files) };
    let there = |file: SourceFile| SourceFile { id: file.id.in_schema(schema), ..file };
    Ok(files.into_iter().map(there).collect())
}

fn in_folder(context: &Context<'_>) -> Result<Vec<SourceFile>, Failure> {
    if let Some(files) = &context.embedded {
        return Ok(files.iter().cloned().map(file).collect());
    }
    let folder = &context.settings.migrations.value;
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no folder `{}`", folder.display()))
            .hint("make the first migration with `zdmig new NAME`, or give --migrations"));
    }
    Ok(read_folder(folder)?.into_iter().map(file).collect())
}

/// A file with its variables filled in, where they are set: whoever reads it finds out.
pub(super) fn file(file: SourceFile) -> SourceFile {
    let raw = file.clone();
    filled(file, &super::variable).unwrap_or_else(|error| SourceFile { lacks: Some(error), ..raw })
}

/// What a file lacks, and how to give it.
pub(super) fn lacking(error: &PlaceholderError) -> Failure {
    let hint = match error {
        PlaceholderError::Line { .. } => "mend that line",
        PlaceholderError::Missing { .. } => {
            "set it, or give it a value in the file: `-- zdmig:env NAME=value`"
        }
        PlaceholderError::Unfit { .. } => "set it to one word",
    };
    Failure::usage(error.to_string()).hint(hint)
}

/// Cuts a file into statements, or shows where it cannot be read.
pub(super) fn parse(file: &SourceFile, context: &Context<'_>) -> Result<Migration, Failure> {
    parsed(file, context.dialect()?, context)
}

/// The same with a dialect that is known already.
pub(super) fn parsed(
    file: &SourceFile,
    dialect: &dyn Dialect,
    context: &Context<'_>,
) -> Result<Migration, Failure> {
    let mut migration = cut(file, dialect)?;
    for (hazard, because) in &context.settings.allow {
        migration.allow(hazard, because);
    }
    Ok(migration)
}

/// Cuts a file into statements with a dialect's grammar.
pub(super) fn cut(file: &SourceFile, dialect: &dyn Dialect) -> Result<Migration, Failure> {
    if let Some(error) = &file.lacks {
        return Err(lacking(error));
    }
    Migration::parse(file, |source| dialect.split(source)).map_err(|error| {
        let (span, message) = match error {
            ParseError::Directive(error) => (error.span, error.message),
            ParseError::Split(error) => (error.span, error.message),
        };
        Failure::new(
            Exit::Refused,
            snippet(&file.path, &file.text, span, (Severity::Deny, &message), false),
        )
        .hint(format!("mend `{}`; `zdmig check` reads it without a database", file.path))
    })
}

/// Plans one migration against a catalogue.
pub(super) fn plan_one(
    migration: &Migration,
    catalog: &Catalog,
    journal: &Journal,
    dialect: &dyn Dialect,
) -> Result<(Plan, Catalog), Failure> {
    let open: Vec<_> = journal.open().collect();
    let planned = planner::plan(migration, catalog, &open, dialect).map_err(|error| {
        let message = match error.span() {
            Some(span) => snippet(
                &migration.path,
                &migration.source,
                span,
                (Severity::Deny, &error.to_string()),
                false,
            ),
            None => format!("`{}`: {error}", migration.id),
        };
        Failure::new(Exit::Refused, message).hint(error.remedy())
    })?;
    match planned.0.strays() {
        Some(table) => Err(Failure::new(
            Exit::Refused,
            format!("`{}` would change `{table}`, which is in another schema", migration.id),
        )
        .hint(
            "make the table in that schema first; what is common to all schemas is changed by a \
             migration of its own, without `--schemas`",
        )),
        None => Ok(planned),
    }
}

/// Refuses a plan with hazards that nobody allowed.
pub(super) fn undenied(plan: &Plan, migration: &Migration) -> Result<(), Failure> {
    let Some(hazard) = plan.denied().next() else { return Ok(()) };
    let message = format!("{}: {}", hazard.code, hazard.message);
    let shown =
        snippet(&migration.path, &migration.source, hazard.span, (Severity::Deny, &message), false);
    Err(Failure::new(Exit::Refused, shown).hint(hazard.remedy.clone()))
}

/// Refuses files that do not fit what was done: edited, or gone.
pub(super) fn fitting(files: &[SourceFile], journal: &Journal) -> Result<(), Failure> {
    for plan in journal.plans() {
        let file = files.iter().find(|file| file.id == plan.migration);
        match file {
            Some(file) if file.checksum != plan.checksum => {
                return Err(Failure::new(
                    Exit::Drift,
                    format!("`{}` was changed after its plan was taken up", file.path),
                )
                .hint(format!(
                    "put the file back, or take the plan back first with `zdmig rollback {}`",
                    plan.migration
                )));
            }
            None if journal.in_flight(&plan.migration) => {
                return Err(Failure::new(
                    Exit::Drift,
                    format!("the file of `{}`, which is not wholly done, is gone", plan.migration),
                )
                .hint("put the file back"));
            }
            Some(_) | None => {}
        }
    }
    let adopted =
        |file: &&SourceFile| journal.adopted(&file.id).is_some_and(|one| *one != file.checksum);
    match files.iter().find(adopted) {
        Some(file) => Err(Failure::new(
            Exit::Drift,
            format!("`{}` was changed after it was adopted: it had been run as it was", file.path),
        )
        .hint(format!(
            "put the file back, and write what is to change into a new one; if the change is of \
             no matter: zdmig baseline --forget {id} && zdmig baseline {id}",
            id = file.id
        ))),
        None => Ok(()),
    }
}

/// Refuses a file that slipped in before one that is under way: databases would run the files
/// in different orders. One that was taken up before and rolled back may come again.
pub(super) fn in_order(files: &[SourceFile], journal: &Journal) -> Result<(), Failure> {
    let newest = journal.known().max();
    let slipped = files.iter().find(|file| {
        journal.is_new(&file.id)
            && newest.is_some_and(|id| file.id < *id)
            && !journal.was_planned(&file.id)
    });
    match (slipped, newest) {
        (Some(file), Some(newest)) => Err(Failure::new(
            Exit::Drift,
            format!("`{}` is older than `{newest}`, which is under way already", file.path),
        )
        .hint("rename it to a newer version, so that every database runs the files in one order")),
        _ => Ok(()),
    }
}

/// The one migration that a shortened id stands for.
pub(super) fn one<'a>(
    short: &str,
    known: impl Iterator<Item = &'a MigrationId>,
) -> Result<MigrationId, Failure> {
    let mut found: Vec<_> = known.filter(|id| id.matches(short)).cloned().collect();
    found.sort();
    found.dedup();
    if let Some(exact) = found.iter().find(|id| id.to_string() == short) {
        return Ok(exact.clone());
    }
    match found.as_slice() {
        [id] => Ok(id.clone()),
        [] => Err(Failure::usage(format!("no migration is called `{short}`"))
            .hint("`zdmig status` lists them")),
        several => {
            let names: Vec<_> = several.iter().map(ToString::to_string).collect();
            Err(Failure::usage(format!("`{short}` stands for several: {}", names.join(", ")))
                .hint("write more of it"))
        }
    }
}

/// A migration's state in a word, and the command that leads on.
pub(super) fn state(id: &MigrationId, journal: &Journal) -> (&'static str, String) {
    let command = |verb: &str| format!("zdmig {verb} {id}");
    match journal.progress(id) {
        Progress::Pending => ("pending", command("expand")),
        Progress::In(Phase::Expand) => ("expanding", command("expand")),
        Progress::After(Phase::Expand) => ("expanded", command("backfill")),
        Progress::In(Phase::Backfill) => ("backfilling", command("backfill")),
        Progress::After(Phase::Backfill) => ("ready", command("contract")),
        Progress::In(Phase::Contract) => ("contracting", command("contract")),
        Progress::After(Phase::Contract) => ("retired", command("purge")),
        Progress::In(Phase::Purge) => ("purging", command("purge")),
        Progress::After(Phase::Purge) => ("done", String::new()),
    }
}
