use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::project;
use crate::catalog::Catalog;
use crate::change::ChangeKind;
use crate::dialect::{self, Dialect};
use crate::migration::{Migration, MigrationId, SourceFile};
use crate::plan::Severity;
use crate::planner;
use crate::report::{
    CheckReport, FileLine, FindingLine, Format, counted, render_annotations, render_code_quality,
    render_findings, render_junit, render_sarif, snippet,
};
use crate::sql::Span;

/// Read the files without a database: syntax, directives, order, hazards, what is not understood
///
/// What a file changes is known from the files before it, or from a snapshot of the database.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The files; the whole migrations folder without them
    files: Vec<PathBuf>,
    /// The database they are written for, by its URL scheme; that of the configured database
    /// without it, else postgres
    #[arg(long, value_name = "SCHEME", conflicts_with = "catalog")]
    dialect: Option<String>,
    /// A snapshot of the database: then sizes and everything that no file says are known too,
    /// and only the files that it does not have yet are read
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// What stands before the files' paths in reports: where this project lies in its repository,
    /// as `git rev-parse --show-prefix` says it
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    path_prefix: String,
}

/// What is known of the database.
struct World {
    dialect: &'static dyn Dialect,
    catalog: Catalog,
    /// Whether it is a snapshot, or only what the files say.
    exact: bool,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (mut world, mut files) = begin(args, context)?;
    if let Some(error) = files.iter().find_map(|file| file.lacks.as_ref()) {
        return Err(project::lacking(error));
    }
    for file in &mut files {
        file.path.insert_str(0, &args.path_prefix);
    }
    let mut report = CheckReport { zdmig_check: 1, files: Vec::new() };
    for file in &files {
        report.files.push(check(file, &mut world, context));
    }
    let errors = report.of(Severity::Deny).count();
    let text = match context.reporter.format() {
        Format::Json => {
            context.reporter.json(&report);
            String::new()
        }
        Format::Sarif => render_sarif(&report),
        Format::Gitlab => render_code_quality(&report),
        Format::Github => render_annotations(&report),
        Format::Junit => render_junit(&report),
        Format::Markdown => render_findings(&report),
        Format::Human | Format::Html => human(&report, context.reporter.verbose()),
    };
    context.reporter.product(&text);
    Ok(if errors == 0 { Exit::Done } else { Exit::Refused })
}

fn human(report: &CheckReport, verbose: bool) -> String {
    let (errors, warnings) = (report.of(Severity::Deny).count(), report.of(Severity::Warn).count());
    let advice = report.of(Severity::Hint).count();
    let more = report.of(Severity::Warn).chain(report.of(Severity::Hint)).filter(|_| verbose);
    let mut text = String::new();
    for (_, finding) in report.of(Severity::Deny).chain(more) {
        text.push_str(&format!("{}\n", finding.shown));
        if !finding.next.is_empty() {
            text.push_str(&format!("next: {}\n", finding.next));
        }
        text.push('\n');
    }
    text.push_str(&counted(report.files.len() as u64, "file"));
    text.push_str(&match errors {
        0 => ", nothing to complain about".to_owned(),
        n => format!(", {}", counted(n as u64, "finding")),
    });
    if warnings + advice > 0 && !verbose {
        let warnings = (warnings > 0).then(|| counted(warnings as u64, "warning"));
        let advice = (advice > 0).then(|| counted(advice as u64, "hint"));
        let hidden: Vec<_> = warnings.into_iter().chain(advice).collect();
        text.push_str(&format!("; {}, shown by -v", hidden.join(" and ")));
    }
    text.push('\n');
    text
}

/// What is known before the first file, and the files.
fn begin(args: &Args, context: &Context<'_>) -> Result<(World, Vec<SourceFile>), Failure> {
    let named: Vec<_> = args
        .files
        .iter()
        .map(|path| crate::migration::read_file(path).map(project::file))
        .collect::<Result<_, _>>()?;
    if let Some(path) = &args.catalog {
        let snapshot = super::snapshot::read(path)?;
        let dialect = super::snapshot::dialect(&snapshot, path)?;
        let files = if named.is_empty() {
            super::snapshot::pending(&snapshot, project::files(context)?)
        } else {
            named
        };
        return Ok((World { dialect, catalog: snapshot.catalog, exact: true }, files));
    }
    let dialect = chosen(args, context)?;
    let mut world = World { dialect, catalog: dialect.empty(), exact: false };
    if named.is_empty() {
        let files = project::files(context)?;
        let Some(last) = left_alone(context)? else { return Ok((world, files)) };
        let (before, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|one| one.id <= last);
        let before: Vec<_> = before.iter().collect();
        world.catalog = planner::changed(world.catalog, &changes(&before, dialect));
        return Ok((world, files));
    }
    // What the files before the first one have made.
    let first = named.iter().map(|file| &file.id).min().cloned();
    let before = project::files(context).unwrap_or_default();
    let before: Vec<_> = before.iter().filter(|file| Some(&file.id) < first.as_ref()).collect();
    world.catalog = planner::changed(world.catalog, &changes(&before, dialect));
    Ok((world, named))
}

/// The last migration of those that were run before anybody checked.
fn left_alone(context: &Context<'_>) -> Result<Option<MigrationId>, Failure> {
    let Some(after) = &context.settings.check_after else { return Ok(None) };
    let id = MigrationId::from_stem(after.value.trim_end_matches(".sql")).map_err(|_| {
        Failure::usage(format!("`check_after` from {} is `{}`", after.origin, after.value))
            .hint("name the last migration that is to be left alone, as `20261123090000_add_email`")
    })?;
    Ok(Some(id))
}

/// What files do, in their order. A long history is read by all processors: nobody waits in an
/// editor or a hook for what was checked a year ago.
fn changes(files: &[&SourceFile], dialect: &dyn Dialect) -> Vec<ChangeKind> {
    let read = |files: &[&SourceFile]| -> Vec<ChangeKind> {
        let parsed = files.iter().map(|file| Migration::parse(file, |sql| dialect.split(sql)));
        // What cannot be read is found when that file is checked.
        parsed.flatten().flat_map(|one| planner::changes(&one, dialect)).collect()
    };
    let readers = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(readers).max(50));
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

fn chosen(args: &Args, context: &Context<'_>) -> Result<&'static dyn Dialect, Failure> {
    match (&args.dialect, context.url()) {
        (Some(scheme), _) => Ok(dialect::named(scheme)?),
        (None, Ok(url)) => Ok(dialect::for_url(&url)?),
        (None, Err(_)) => Ok(dialect::default()),
    }
}

/// A table of which only files tell holds as many rows as any.
fn inhabited(catalog: &Catalog) -> Catalog {
    let mut catalog = catalog.clone();
    for table in catalog.tables.values_mut() {
        (table.rows, table.bytes) = (100_000, 10_000_000);
    }
    catalog
}

fn check(file: &SourceFile, world: &mut World, context: &Context<'_>) -> FileLine {
    let mut report = FileLine { path: file.path.clone(), statements: 0, findings: Vec::new() };
    let mut statements = 0;
    let mut find = |code: &str, severity, span: Span, (message, next): (String, String)| {
        let place = span.place(&file.text);
        let shown =
            snippet(&file.path, &file.text, span, (severity, &format!("{code}: {message}")), false);
        let end = Span { start: span.end.max(span.start), ..span }.place(&file.text);
        let fingerprint = report.fingerprint(code, span.of(&file.text));
        report.findings.push(FindingLine {
            code: code.to_owned(),
            severity,
            line: place.line,
            column: place.column,
            end_line: end.line,
            end_column: end.column,
            message,
            next,
            fingerprint,
            shown,
        });
    };
    match Migration::parse(file, |source| world.dialect.split(source)) {
        Ok(mut migration) => {
            for (hazard, because) in &context.settings.allow {
                migration.allow(hazard, because);
            }
            statements = migration.statements.len();
            let before =
                if world.exact { world.catalog.clone() } else { inhabited(&world.catalog) };
            match planner::plan(&migration, &before, &[], world.dialect) {
                Ok((plan, after)) => {
                    for hazard in plan.hazards.iter().filter(|one| one.allowed.is_none()) {
                        let said = (hazard.message.clone(), hazard.remedy.clone());
                        // One is written before it is filled.
                        let begun = hazard.code == "empty-file";
                        let severity = if begun { Severity::Warn } else { hazard.severity() };
                        find(&hazard.code, severity, hazard.span, said);
                    }
                    world.catalog = after;
                }
                Err(error) => {
                    tracing::debug!(file = %file.path, %error, "no plan");
                    for (span, why) in planner::opaque(&migration, world.dialect) {
                        find("opaque", Severity::Deny, span, (why, String::new()));
                    }
                    // Files alone do not say all, so what they do not name is no finding.
                    let lacks = matches!(error, planner::PlanError::Unknown { .. });
                    if world.exact || !lacks {
                        let span = error.span().unwrap_or_default();
                        find("refused", Severity::Deny, span, (error.to_string(), error.remedy()));
                    }
                    let known = std::mem::replace(&mut world.catalog, world.dialect.empty());
                    world.catalog = planner::after(&migration, known, world.dialect);
                }
            }
            let advice = planner::advice(&migration, &world.catalog, world.dialect);
            for hint in advice.into_iter().filter(|one| one.allowed.is_none()) {
                find(&hint.code, hint.severity(), hint.span, (hint.message, hint.remedy));
            }
        }
        Err(crate::migration::ParseError::Directive(error)) => {
            find("directive", Severity::Deny, error.span, (error.message, String::new()));
        }
        Err(crate::migration::ParseError::Split(error)) => {
            find("syntax", Severity::Deny, error.span, (error.message, String::new()));
        }
    }
    report.statements = statements;
    report
}
