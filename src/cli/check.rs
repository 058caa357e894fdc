use std::path::PathBuf;

use serde::Serialize;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::project;
use crate::dialect::{self, Dialect};
use crate::migration::{Migration, SourceFile};
use crate::planner;
use crate::report::{Format, counted, snippet};

/// Read the files without a database: syntax, directives, order, what is not understood
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The files; the whole migrations folder without them
    files: Vec<PathBuf>,
    /// The database they are written for, by its URL scheme; that of the configured database
    /// without it, else postgres
    #[arg(long, value_name = "SCHEME")]
    dialect: Option<String>,
}

#[derive(Serialize)]
struct Report {
    zdmig_check: u32,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    path: String,
    statements: usize,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    code: &'static str,
    line: usize,
    column: usize,
    message: String,
    #[serde(skip)]
    shown: String,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let dialect = chosen(args, context)?;
    let files = files(args, context)?;
    let mut report = Report { zdmig_check: 1, files: Vec::new() };
    for file in &files {
        report.files.push(check(file, dialect));
    }
    let found: usize = report.files.iter().map(|file| file.findings.len()).sum();
    if context.reporter.format() == Format::Json {
        context.reporter.json(&report);
    } else {
        let mut text = String::new();
        for finding in report.files.iter().flat_map(|file| &file.findings) {
            text.push_str(&format!("{}\n\n", finding.shown));
        }
        let files = counted(report.files.len() as u64, "file");
        text.push_str(&match found {
            0 => format!("{files}, nothing to complain about\n"),
            n => format!("{files}, {}\n", counted(n as u64, "finding")),
        });
        context.reporter.product(&text);
    }
    Ok(if found == 0 { Exit::Done } else { Exit::Refused })
}

fn chosen(args: &Args, context: &Context<'_>) -> Result<&'static dyn Dialect, Failure> {
    match (&args.dialect, context.url()) {
        (Some(scheme), _) => Ok(dialect::named(scheme)?),
        (None, Ok(url)) => Ok(dialect::for_url(&url)?),
        (None, Err(_)) => Ok(dialect::default()),
    }
}

fn files(args: &Args, context: &Context<'_>) -> Result<Vec<SourceFile>, Failure> {
    if args.files.is_empty() {
        return project::files(context);
    }
    args.files.iter().map(|path| Ok(crate::migration::read_file(path)?)).collect()
}

fn check(file: &SourceFile, dialect: &dyn Dialect) -> FileReport {
    let mut findings = Vec::new();
    let mut statements = 0;
    let mut find = |code: &'static str, span: crate::sql::Span, message: String| {
        let place = span.place(&file.text);
        let shown = snippet(&file.path, &file.text, span, &format!("{code}: {message}"), false);
        findings.push(Finding { code, line: place.line, column: place.column, message, shown });
    };
    match Migration::parse(file, |source| dialect.split(source)) {
        Ok(migration) => {
            statements = migration.statements.len();
            for (span, why) in planner::opaque(&migration, dialect) {
                find("opaque", span, why);
            }
        }
        Err(crate::migration::ParseError::Directive(error)) => {
            find("directive", error.span, error.message);
        }
        Err(crate::migration::ParseError::Split(error)) => {
            find("syntax", error.span, error.message);
        }
    }
    FileReport { path: file.path.clone(), statements, findings }
}
