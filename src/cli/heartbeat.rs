use super::context::Context;
use super::failure::{Exit, Failure};
use super::phase::time;
use crate::dialect::{Fact, Observer};
use crate::report::Format;

/// Tell the gate that an instance is alive; for a sidecar or a script
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    #[arg(long)]
    service: String,
    /// Its version
    #[arg(long)]
    version: String,
    /// The instance: a host, a pod
    #[arg(long)]
    instance: String,
    /// Go on telling, this often, until stopped; then say goodbye
    #[arg(long, value_name = "TIME")]
    every: Option<String>,
    /// The instance has stopped
    #[arg(long, conflicts_with = "every")]
    bye: bool,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let every = args.every.as_ref().map(|text| time("--every", text)).transpose()?;
    let env = context.settings.env.value.clone();
    let (service, version, instance) =
        (args.service.as_str(), args.version.as_str(), args.instance.as_str());
    let alive = Fact::Alive { env: &env, service, version, instance };
    let gone = Fact::Gone { env: &env, service, version, instance };
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    observer.record(if args.bye { &gone } else { &alive }).await?;
    if !args.bye {
        not_fenced(&mut *observer, &env, service, version).await?;
    }
    if let Some(every) = every {
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {
                    observer.record(&alive).await?;
                    not_fenced(&mut *observer, &env, service, version).await?;
                }
                () = context.cancel.cancelled() => break,
            }
        }
        observer.record(&gone).await?;
    }
    let state = if args.bye || every.is_some() { "gone" } else { "alive" };
    if context.reporter.format() == Format::Json {
        let report = serde_json::json!({
            "zdmig_heartbeat": 1, "env": env, "service": service, "version": version,
            "instance": instance, "state": state
        });
        context.reporter.json(&report);
    } else {
        context.reporter.product(&format!("{service}@{version}#{instance} is {state} in {env}\n"));
    }
    Ok(Exit::Done)
}

/// Refuses a version that is not known to do without what a migration takes away.
async fn not_fenced(
    observer: &mut dyn Observer,
    env: &str,
    service: &str,
    version: &str,
) -> Result<(), Failure> {
    let Some(migration) = observer.fenced(env, service, version).await?.into_iter().next() else {
        return Ok(());
    };
    let text = format!(
        "{service}@{version} is fenced: it is not known to do without what {migration} takes away"
    );
    let hint = format!("zdmig can-deploy --service {service} --version {version}");
    Err(Failure::new(Exit::GateRefuse, text).hint(hint))
}
