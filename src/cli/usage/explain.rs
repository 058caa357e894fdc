use std::io::Read;
use std::path::PathBuf;

use crate::catalog::Catalog;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::gate::{Explained, Reader, Schema, Statement, Way};
use crate::report::{ExplainReport, Format, StatementLine, render_explained};
use crate::sql::{ColumnRef, Ident, TableName};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Files of statements; `-` is stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The column, as `table.column` or `schema.table.column`; a whole table with `*` for the column
    #[arg(long, value_name = "NAME")]
    target: String,
    /// A statement; may be given several times
    #[arg(long, value_name = "TEXT")]
    sql: Vec<String>,
    /// A snapshot of the catalogue instead of the database, made by `zdmig snapshot`
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Look up names without a schema along the search path; else they may be any schema's
    #[arg(long)]
    by_search_path: bool,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let texts = texts(args)?;
    let (catalog, dialect) = super::known(args.catalog.as_deref(), context).await?;
    let target = target(&args.target, &catalog)?;
    let schema = Schema::new(&catalog, args.by_search_path);
    let mut reader = Reader::new(&schema, dialect.grammar());
    let mut lines = Vec::new();
    for (place, text) in &texts {
        for statement in Statement::all(text, dialect.grammar()) {
            let explained = reader.explain(statement.text, &target);
            lines.push(line(place, &statement, &explained));
        }
    }
    let report = ExplainReport::new(&target, lines);
    if context.reporter.format() == Format::Json {
        context.reporter.json(&report);
    } else {
        let pen = context.reporter.pen();
        context.reporter.product(&render_explained(&report, pen));
    }
    Ok(Exit::Done)
}

/// What there is to read, and how its places begin.
fn texts(args: &Args) -> Result<Vec<(String, String)>, Failure> {
    if args.files.is_empty() && args.sql.is_empty() {
        return Err(Failure::usage("there is no statement to explain".to_owned())
            .hint("give it with --sql, name a file, or `-` for stdin"));
    }
    let mut texts: Vec<_> = args.sql.iter().map(|sql| (String::new(), sql.clone())).collect();
    for path in &args.files {
        let shown = path.display().to_string();
        let read = if shown == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(path)
        };
        let text =
            read.map_err(|error| Failure::usage(format!("cannot read `{shown}`: {error}")))?;
        texts.push((format!("{shown}:"), text));
    }
    Ok(texts)
}

/// The column of that name, as the catalogue writes it.
fn target(written: &str, catalog: &Catalog) -> Result<ColumnRef, Failure> {
    let none = |what: String, near: Option<&str>| {
        let failure = Failure::usage(what);
        match near {
            Some(near) => failure.hint(format!("is `{near}` meant?")),
            None => failure.hint("name it as `schema.table.column`".to_owned()),
        }
    };
    let all = TableName::from(written.to_owned());
    let (owner, column) = match written.rfind('.') {
        Some(at) => (TableName::from(written[..at].to_owned()), all.name),
        None => (all, Ident::new("*")),
    };
    let Some(table) = catalog.find(&owner) else {
        let names: Vec<String> = catalog.tables.keys().map(ToString::to_string).collect();
        let near = catalog.near(&owner.to_string(), names.iter().map(String::as_str));
        return Err(none(format!("there is no table `{owner}`"), near));
    };
    if column.as_str() == "*" {
        return Ok(ColumnRef::new(&table.name, &column));
    }
    match catalog.column(table, &column) {
        Some(found) => Ok(ColumnRef::new(&table.name, &found.name)),
        None => {
            let names = table.columns.iter().map(|one| one.name.as_str());
            let near = catalog.near(column.as_str(), names);
            Err(none(format!("`{}` has no column `{column}`", table.name), near))
        }
    }
}

fn line(place: &str, statement: &Statement<'_>, explained: &Explained) -> StatementLine {
    let at = |(line, column): (u64, u64)| format!("{place}{line}:{column}");
    let mut uses: Vec<(&'static str, String)> = explained
        .ways
        .iter()
        .map(|(way, found)| (word(*way), at(statement.place(*found))))
        .collect();
    if explained.unresolved.is_some() {
        uses.push(("unresolved", at(statement.at)));
    }
    if uses.is_empty() {
        uses.push(("none", at(statement.at)));
    }
    StatementLine {
        at: at(statement.at),
        sql: statement.text.to_owned(),
        uses: uses.iter().map(|(word, _)| *word).collect(),
        places: uses.into_iter().map(|(_, at)| at).collect(),
        through: explained.through.iter().map(ToString::to_string).collect(),
        why: explained.unresolved.clone(),
    }
}

fn word(way: Way) -> &'static str {
    match way {
        Way::Read => "read",
        Way::Write => "write",
        Way::Star => "star",
        Way::Positional => "positional",
        Way::WholeRow => "whole-row",
        Way::Rebind => "rebind",
    }
}
