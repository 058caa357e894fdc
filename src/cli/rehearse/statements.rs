//! Scripts of what the database has counted: the statements that ran most, with values that their columns have.

use std::sync::Arc;

use super::prepare::NAME;
use crate::catalog::{Catalog, Table};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::dialect::{Counted, DatabaseUrl, Dialect, Observer};
use crate::rehearsal::{Fresh, Guess, Script, Source, guesses};
use crate::sql::{Ident, mentions};

/// So many statements are taken.
const MOST: usize = 20;

/// What all of them together count, and what a script counts beside them.
pub(super) const ALL: u32 = 20;

/// Whoever asks for these is looking at the database, not using it.
const NOT_AN_APPLICATION_S: [&str; 2] = ["zdmig", "pg_stat_statements"];

/// A statement that is left out, and why.
pub(super) type LeftOut = (String, String);

/// So many values of a column are taken.
const VALUES: u32 = 500;

/// What ran most on the database itself, read there.
pub(super) async fn counted(context: &Context<'_>) -> Result<Vec<Counted>, Failure> {
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    let log = observer.statements().await?.map_err(|why| {
        Failure::usage(format!("there are no statements to take: {why}"))
            .hint("count them (`zdmig doctor` says how), or give scripts with --workload")
    })?;
    let mut all: Vec<Counted> = log.counted.into_iter().filter(|one| one.index.is_none()).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.calls));
    Ok(all)
}

/// Those of an application that ran most and name a table that is there.
pub(super) fn taken(counted: Vec<Counted>, catalog: &Catalog) -> Vec<Counted> {
    let works = |one: &Counted| {
        let text = one.text.as_str();
        let word: String = text.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
        ["select", "insert", "update", "delete", "with"].contains(&word.to_lowercase().as_str())
            && !NOT_AN_APPLICATION_S.iter().any(|word| mentions(text, word))
            && catalog.tables.keys().any(|name| mentions(text, name.name.as_str()))
    };
    counted.into_iter().filter(works).take(MOST).collect()
}

/// Statements that name a table there, as scripts; and those of which it cannot be told what they need.
pub(super) async fn scripts(
    counted: &[Counted],
    dialect: &'static dyn Dialect,
    url: &DatabaseUrl,
    catalog: &Catalog,
) -> Result<(Vec<Script>, Vec<LeftOut>), Failure> {
    let mut attached = dialect.attach(url, NAME).await?;
    let (mut scripts, mut left_out) = (Vec::new(), Vec::new());
    let calls: i64 = counted.iter().map(|one| one.calls).sum();
    for one in counted {
        let name: String = one.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let name: String = name.chars().take(60).collect();
        match attached.client.by_texts(&one.text).await {
            Ok(Some(told)) => {
                let (guesses, mut sources) = (guesses(&one.text, dialect.grammar()), Vec::new());
                for (at, type_name) in told.types.iter().enumerate() {
                    let guess = guesses.get(&(at + 1));
                    let of = (one.text.as_str(), type_name.to_lowercase());
                    sources.push(source(guess, of, &mut *attached.observer, catalog).await?);
                }
                let share = one.calls.saturating_mul(i64::from(ALL)) / calls.max(1);
                let weight = u32::try_from(share).unwrap_or(ALL).clamp(1, ALL);
                scripts.push(Script::counted(name, weight, told.sql, sources));
            }
            Ok(None) => left_out.push((name, "the types of its values are not known".to_owned())),
            Err(error) => left_out.push((name, error.to_string())),
        }
    }
    Ok((scripts, left_out))
}

/// Where a value of a statement comes from.
async fn source(
    guess: Option<&Guess>,
    (text, type_name): (&str, String),
    observer: &mut dyn Observer,
    catalog: &Catalog,
) -> Result<Source, Failure> {
    let one_of = |all: Vec<String>| Source::OneOf(Arc::from(all));
    let column = match guess {
        Some(Guess::Like(column) | Guess::New(column)) => Ident::new(column),
        Some(Guess::Count) => return Ok(one_of(vec!["10".into()])),
        None => return Ok(one_of(plain(&type_name))),
    };
    let has = |table: &&Table| {
        mentions(text, table.name.name.as_str())
            && table.columns.iter().any(|one| one.name == column)
    };
    let Some(table) = catalog.tables.values().find(has) else {
        return Ok(one_of(plain(&type_name)));
    };
    let values = observer.values(&table.name, &column, VALUES).await?;
    let own = |index: &&crate::catalog::Index| index.unique && index.columns.contains(&column);
    let unique = table.indexes.iter().any(|index| own(&index)) || table.key.contains(&column);
    if matches!(guess, Some(Guess::New(_))) && unique {
        let counts = type_name.starts_with("int") || type_name == "numeric";
        let largest = if counts { observer.largest(&table.name, &column).await? } else { None };
        return Ok(Source::Fresh(match type_name.as_str() {
            "uuid" => Fresh::Uuid,
            _ if counts => Fresh::Number(largest.unwrap_or_default()),
            _ => Fresh::Word,
        }));
    }
    if values.is_empty() {
        return Ok(one_of(plain(&type_name)));
    }
    // A list is given as one with a single value.
    if type_name.ends_with("[]") {
        let list = |value: &String| {
            format!("{{\"{}\"}}", value.replace('\\', "\\\\").replace('"', "\\\""))
        };
        return Ok(one_of(values.iter().map(list).collect()));
    }
    Ok(one_of(values))
}

/// What a type takes, where nothing better is known.
fn plain(type_name: &str) -> Vec<String> {
    let one = match type_name {
        "bool" => "true",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "json" | "jsonb" => "{}",
        "date" => "2026-01-01",
        name if name.ends_with("[]") => "{}",
        name if name.starts_with("timestamp") => "2026-01-01 00:00:00",
        name if name.starts_with("time") => "00:00:00",
        "interval" => "1 second",
        "bytea" => "\\x00",
        name if name.starts_with("int") || name.starts_with("float") || name == "numeric" => {
            return (1..=100).map(|number| number.to_string()).collect();
        }
        _ => "x",
    };
    vec![one.to_owned()]
}
