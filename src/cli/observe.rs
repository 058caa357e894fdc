use super::context::Context;
use super::evidence::{PRIMARY, windows};
use super::failure::{Exit, Failure};
use crate::dialect::{Fact, Observer, StatementLog};
use crate::gate::{Reader, Schema, Window};
use crate::report::{Format, duration, table};

/// Windows on what really runs: what uses something that a contract would take away is found
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Open a window on the database and its replicas; one that is open begins anew
    Start,
    /// Show how long it has been open, and what it may have missed
    Status,
    /// Close it
    Stop,
}

pub(super) async fn run(command: &Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig gate").await?.observer;
    match command {
        Command::Start => start(&mut *observer, context).await,
        Command::Status => status(&mut *observer, context).await,
        Command::Stop => {
            let env = context.settings.env.value.clone();
            observer.record(&Fact::Unobserved { env: &env }).await?;
            said(&format!("nothing is observed any more in {env}\n"), "stopped", &[], context);
            Ok(Exit::Done)
        }
    }
}

/// What each server has counted, by its name; an answer that says why it counts nothing.
async fn counted(
    observer: &mut dyn Observer,
    context: &Context<'_>,
) -> Result<Vec<(String, Result<StatementLog, String>)>, Failure> {
    let mut found = vec![(PRIMARY.to_owned(), observer.statements().await?)];
    for url in &context.replicas()? {
        let mut there = context.dialect()?.attach(url, "zdmig gate").await?.observer;
        found.push((url.to_string(), there.statements().await?));
    }
    Ok(found)
}

async fn start(observer: &mut dyn Observer, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let env = context.settings.env.value.clone();
    let mut begun = Vec::new();
    for (node, log) in counted(observer, context).await? {
        let log = log.map_err(|why| {
            Failure::usage(format!("{node} cannot be observed: {why}")).hint("zdmig doctor")
        })?;
        begun.push((node, log));
    }
    observer.record(&Fact::Unobserved { env: &env }).await?;
    for (node, log) in &begun {
        observer.record(&Fact::Observing { env: &env, node, log }).await?;
    }
    status(observer, context).await
}

async fn status(observer: &mut dyn Observer, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let env = context.settings.env.value.clone();
    let begun = observer.observations(&env).await?;
    if begun.is_empty() {
        said("no window is open\n\nnext: zdmig observe start\n", "none", &[], context);
        return Ok(Exit::Done);
    }
    let catalog = context.dialect()?.empty();
    let schema = Schema::new(&catalog, false);
    let mut reader = Reader::new(&schema, context.dialect()?.grammar());
    let windows = windows(observer, &begun, &[], &mut reader, context).await?;
    let rows = windows
        .iter()
        .map(|one| {
            let open = (one.to - one.from).to_std().unwrap_or_default();
            let roles = one.roles.iter().cloned().collect::<Vec<_>>().join(", ");
            vec![one.node.clone(), duration(open), roles]
        })
        .collect();
    let mut text = table(&["server", "open for", "roles that ran something"], rows);
    for one in &windows {
        for flaw in &one.flaws {
            text.push_str(&format!("\n  ? on {}: {flaw}", one.node));
        }
    }
    if windows.iter().any(|one| !one.flaws.is_empty()) {
        text.push_str("\n\nnext: zdmig doctor\n");
    }
    said(&text, "open", &windows, context);
    Ok(Exit::Done)
}

fn said(text: &str, state: &str, windows: &[Window], context: &mut Context<'_>) {
    if context.reporter.format() == Format::Json {
        let env = &context.settings.env.value;
        let report = serde_json::json!({
            "zdmig_observe": 1, "env": env, "state": state, "windows": windows
        });
        context.reporter.json(&report);
    } else {
        context.reporter.product(text);
    }
}
