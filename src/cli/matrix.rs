use std::collections::BTreeMap;

use serde::Serialize;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::gate;
use crate::gate::State;
use crate::plan::Phase;
use crate::report::{Format, table};

/// Which versions can run, and what each of them does with what open migrations take away
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {}

#[derive(Serialize)]
struct Report<'a> {
    zdmig_matrix: u32,
    env: &'a str,
    /// The gate's answer for each open migration that takes something away.
    migrations: &'a BTreeMap<String, &'static str>,
    versions: &'a [Row],
}

/// A version that can run.
#[derive(Serialize)]
struct Row {
    service: String,
    version: String,
    state: State,
    source: String,
    /// By migration: `-`, `reads it (src/users.rs:88)`, `?`.
    uses: BTreeMap<String, String>,
}

pub(super) async fn run(_: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let journal = context.connect().await?.journal().await?;
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    let mut migrations = BTreeMap::new();
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    let open = journal.plans().filter(|plan| {
        !plan.requirement.targets.is_empty() && !journal.phase_done(plan, Phase::Purge)
    });
    for plan in open {
        let id = plan.migration.to_string();
        let phase =
            if journal.phase_done(plan, Phase::Contract) { Phase::Purge } else { Phase::Contract };
        let verdict = gate::judge(plan, phase, &journal, &mut *observer, context).await?.verdict;
        migrations.insert(id.clone(), verdict.word());
        for line in verdict.versions() {
            let of = (line.service.clone(), line.version.clone());
            let row = rows.entry(of).or_insert_with(|| Row {
                service: line.service.clone(),
                version: line.version.clone(),
                state: line.state,
                source: line.source.clone(),
                uses: BTreeMap::new(),
            });
            row.uses.insert(id.clone(), line.uses.clone());
        }
    }
    let env = context.settings.env.value.clone();
    let versions: Vec<Row> = rows.into_values().collect();
    if context.reporter.format() == Format::Json {
        let (migrations, versions) = (&migrations, versions.as_slice());
        context.reporter.json(&Report { zdmig_matrix: 1, env: &env, migrations, versions });
    } else {
        context.reporter.product(&text(&migrations, &versions));
    }
    Ok(Exit::Done)
}

fn text(migrations: &BTreeMap<String, &'static str>, versions: &[Row]) -> String {
    if migrations.is_empty() {
        return "no open migration takes anything away\n".into();
    }
    let mut head = vec!["service", "version", "state"];
    head.extend(migrations.keys().map(String::as_str));
    head.push("seen by");
    let mut lines: Vec<Vec<String>> = versions
        .iter()
        .map(|row| {
            let state = format!("{:?}", row.state).to_lowercase();
            let mut line = vec![row.service.clone(), row.version.clone(), state];
            line.extend(
                migrations
                    .keys()
                    .map(|id| row.uses.get(id).map_or_else(|| "?".to_owned(), Clone::clone)),
            );
            line.push(row.source.clone());
            line
        })
        .collect();
    let mut verdicts = vec!["the gate".to_owned(), String::new(), String::new()];
    verdicts.extend(migrations.values().map(|word| (*word).to_owned()));
    verdicts.push(String::new());
    lines.push(verdicts);
    table(&head, lines)
}
