//! Gathers what the gate judges.

use chrono::Utc;

use super::context::Context;
use super::failure::Failure;
use crate::dialect::{Bound, DatabaseUrl, Dialect, Observation, Observer, Witness};
use crate::gate::{self, Evidence, Inventory, Reader, Schema, Window};
use crate::plan::{Target, Use};
use crate::sql::TableName;

/// The name of the server that is migrated, among those that are observed.
pub(super) const PRIMARY: &str = "primary";

/// What is known of who is at work, whatever they use.
pub(super) async fn at_work(url: &DatabaseUrl, context: &Context<'_>) -> Result<Evidence, Failure> {
    let policy = &context.settings.gate;
    let dialect = crate::dialect::for_url(url)?;
    let mut observer = dialect.attach(url, "zdmig gate").await?.observer;
    let witness = observer.witness(&policy.env, &[]).await?;
    Ok(gate::collect(&witness, &Inventory::default(), &[], policy))
}

/// What a database says, its replicas and poolers, and those who run the versions, put in order.
pub(super) async fn gathered(
    observer: &mut dyn Observer,
    targets: &[Target],
    context: &Context<'_>,
) -> Result<Evidence, Failure> {
    let policy = &context.settings.gate;
    let mut witness = observer.witness(&policy.env, targets).await?;
    let mut inventory = gate::take_stock(policy, Utc::now()).await;
    elsewhere(&mut witness, &mut inventory, context).await?;
    let mut evidence = gate::collect(&witness, &inventory, &manifests(context)?, policy);
    let begun = observer.observations(&policy.env).await?;
    let passed = policy.waivers.iter().filter(|one| one.holds(witness.now));
    let passed: Vec<String> = passed.map(|one| one.name.clone()).collect();
    let running = observer.running(&passed).await?;
    if !targets.is_empty() {
        let catalog = context.connect().await?.catalog().await?;
        let schema = Schema::new(&catalog, false);
        let mut reader = Reader::new(&schema, context.dialect()?.grammar());
        evidence.bound.extend(whole_rows(targets, &mut reader));
        evidence.sampled = gate::sample(&running, targets, &mut reader);
        evidence.windows = windows(observer, &begun, targets, &mut reader, context).await?;
    }
    Ok(evidence)
}

/// What takes whole rows of a target's table.
fn whole_rows(targets: &[Target], reader: &mut Reader<'_>) -> Vec<Bound> {
    let columns = targets.iter().filter(|one| one.ends == Use::Any && !one.is_whole());
    let of = |target: &Target| {
        let found = reader.takes_rows(&target.column);
        let one = |name: TableName| Bound {
            what: format!("`{name}` takes whole rows with {}", target.shown()),
            name: name.name.as_str().to_owned(),
            schema: name.schema.as_ref().map(|schema| schema.as_str().to_owned()),
        };
        found.into_iter().map(one).collect::<Vec<_>>()
    };
    columns.flat_map(of).collect()
}

/// Sessions on replicas, and clients of poolers.
async fn elsewhere(
    witness: &mut Witness,
    inventory: &mut Inventory,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let dialect = context.dialect()?;
    for url in &context.replicas()? {
        match sessions(dialect, url).await {
            Ok(found) => witness.sessions.get_or_insert_default().extend(found),
            Err(error) => inventory.gaps.push(format!("of the replica {url}: {error}")),
        }
    }
    for url in &context.poolers()? {
        match dialect.clients_of(url, &context.url()?).await {
            Ok(found) => witness.sessions.get_or_insert_default().extend(found),
            Err(error) => inventory.gaps.push(format!("of the pooler {url}: {error}")),
        }
    }
    Ok(())
}

async fn sessions(
    dialect: &dyn Dialect,
    url: &DatabaseUrl,
) -> Result<Vec<crate::dialect::Connected>, crate::dialect::SessionError> {
    let mut found = dialect.attach(url, "zdmig gate").await?.observer.sessions().await?;
    for one in found.iter_mut().flatten() {
        one.place = format!("{} on the replica {url}", one.place);
    }
    Ok(found.unwrap_or_default())
}

/// What ran on every server since the windows were opened.
pub(super) async fn windows(
    observer: &mut dyn Observer,
    begun: &[Observation],
    targets: &[Target],
    reader: &mut Reader<'_>,
    context: &Context<'_>,
) -> Result<Vec<Window>, Failure> {
    let dialect = context.dialect()?;
    let policy = &context.settings.gate;
    let replicas = &context.replicas()?;
    let mut windows = Vec::new();
    for one in begun {
        let log = if one.node == PRIMARY {
            observer.statements().await?
        } else {
            match replicas.iter().find(|url| url.to_string() == one.node) {
                None => Err("it is among `replicas` no more".to_owned()),
                Some(url) => match dialect.attach(url, "zdmig gate").await {
                    Ok(mut there) => there.observer.statements().await?,
                    Err(error) => Err(error.to_string()),
                },
            }
        };
        let mut window = match log {
            Ok(log) => {
                let mut window = gate::window(one, &log, targets, reader);
                let roles = || policy.consumers.iter().flat_map(|one| &one.roles);
                if let Some(role) = roles().find(|role| log.become_own.contains(role)) {
                    window.flaws.push(format!(
                        "`{role}` can become zdmig's own role, whose statements are not looked at"
                    ));
                }
                if roles().any(|role| *role == log.own) {
                    window.flaws.push(format!(
                        "zdmig's own role `{}` is an application's as well, and what it ran cannot be told apart",
                        log.own
                    ));
                }
                let followed = usize::try_from(log.replicas).unwrap_or(usize::MAX);
                if followed > replicas.len() {
                    window.flaws.push(format!(
                        "{followed} replicas follow it, and `replicas` names {}",
                        replicas.len()
                    ));
                }
                window
            }
            Err(why) => Window::blind(&one.node, one.since, why),
        };
        window.flaws.sort();
        windows.push(window);
    }
    for url in replicas.iter().map(ToString::to_string) {
        let Some(here) = begun.first() else { continue };
        if !begun.iter().any(|one| one.node == url) {
            let why = "it was not observed from the beginning";
            windows.push(Window::blind(&url, here.since, why));
        }
    }
    Ok(windows)
}

/// The manifests in the project's folder, as their path and text.
pub(super) fn manifests(context: &Context<'_>) -> Result<Vec<(String, String)>, Failure> {
    let Some(folder) = context.settings.usage.as_ref().map(|folder| folder.value.as_path()) else {
        return Ok(Vec::new());
    };
    let unreadable = |error: std::io::Error| {
        Failure::usage(format!("cannot read the manifests in `{}`: {error}", folder.display()))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = std::fs::read_to_string(&path).map_err(unreadable)?;
            found.push((format!("`{}`", path.display()), text));
        }
    }
    found.sort();
    Ok(found)
}
