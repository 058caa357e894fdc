mod deploy;
mod health;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::dialect::Finding;
use crate::gate::GatePolicy;
use crate::report::Format;

/// Which of the gate's conditions hold on this database, and what to change where they do not
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    deploy: deploy::Checklist,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if args.deploy.deploy {
        return deploy::run(&args.deploy, context).await;
    }
    let mut all = declared(&context.settings.gate);
    let roles: Vec<String> =
        context.settings.gate.consumers.iter().flat_map(|one| one.roles.clone()).collect();
    let dialect = context.dialect()?;
    let mut observer = dialect.attach(&context.url()?, "zdmig gate").await?.observer;
    all.extend(observer.examine(&roles).await?);
    if let Ok(log) = observer.statements().await? {
        all.push(replicas(log.replicas, context.replicas()?.len()));
    }
    for url in &context.replicas()? {
        all.push(match dialect.attach(url, "zdmig gate").await {
            Ok(_) => Finding::well("replicas", format!("{url} can be asked")),
            Err(error) => Finding::ill("replicas", error.to_string(), "correct `replicas`"),
        });
    }
    for url in &context.poolers()? {
        all.push(match dialect.clients_of(url, &context.url()?).await {
            Ok(clients) => Finding::well(
                "poolers",
                format!("{url} can be asked, and has {} clients", clients.len()),
            ),
            Err(error) => Finding::ill(
                "poolers",
                error.to_string(),
                "correct `poolers`: the database `pgbouncer`, as one of its stats_users",
            ),
        });
    }
    if context.reporter.format() == Format::Json {
        context.reporter.json(&serde_json::json!({ "zdmig_doctor": 1, "findings": all }));
        return Ok(Exit::Done);
    }
    let pen = context.reporter.pen();
    let mut text = String::new();
    for one in &all {
        let mark = if one.well { pen.good("✓") } else { pen.warn("?") };
        text.push_str(&format!("{mark} {:<11} {}\n", one.about, one.found));
        if !one.well {
            text.push_str(&format!("  {:<11} {} {}\n", "", pen.dim("→"), one.remedy));
        }
    }
    let ill = all.iter().filter(|one| !one.well).count();
    text.push_str(&match ill {
        0 => "\nnothing to change\n".to_owned(),
        _ => format!(
            "\n{} to change; the gate says UNKNOWN where it matters\n",
            crate::report::counted(ill as u64, "thing")
        ),
    });
    context.reporter.product(&text);
    Ok(Exit::Done)
}

/// What the configuration says of the world.
fn declared(policy: &GatePolicy) -> Vec<Finding> {
    const ABOUT: &str = "consumers";
    if policy.consumers.is_empty() {
        let remedy =
            "add `[[consumer]]` for everything that uses the database: docs/configuration.md";
        return vec![Finding::ill(ABOUT, "zdmig.toml declares none", remedy)];
    }
    let names: Vec<&str> = policy.consumers.iter().map(|one| one.name.as_str()).collect();
    let mut found = vec![Finding::well(ABOUT, names.join(", "))];
    for one in policy.consumers.iter().filter(|one| one.roles.is_empty()) {
        let text = format!("`{}` has no `roles`, so its sessions are nobody's", one.name);
        found.push(Finding::ill(ABOUT, text, "name the roles it logs in as"));
    }
    found
}

fn replicas(follow: i64, named: usize) -> Finding {
    const ABOUT: &str = "replicas";
    if usize::try_from(follow).is_ok_and(|follow| follow <= named) {
        return Finding::well(ABOUT, format!("{follow} follow, and `replicas` names {named}"));
    }
    Finding::ill(
        ABOUT,
        format!("{follow} follow, and `replicas` names {named}: who reads the others is not seen"),
        "add their addresses to `replicas`, as `env:NAME` where they hold a password",
    )
}
