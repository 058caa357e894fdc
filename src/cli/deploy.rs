use std::path::PathBuf;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::usage;
use crate::dialect::Fact;
use crate::report::Format;

/// Tell the gate which versions run
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// A version was deployed, and replaces those before it
    Record(RecordArgs),
    /// A version does not run any more
    End(EndArgs),
}

/// Tell the gate which versions others run, beside each other: mobile apps, desktops, lambdas
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Release {
    /// A version was given to others; those before it go on
    Record(EndArgs),
    /// Nobody can run that version any more
    End(EndArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// The service
    #[arg(long)]
    service: String,
    /// Its version: any text that differs between builds
    #[arg(long)]
    version: String,
    /// The versions before it go on running, as in a canary
    #[arg(long)]
    keep_previous: bool,
    /// Publish this usage manifest with it
    #[arg(long, value_name = "FILE")]
    usage: Option<PathBuf>,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct EndArgs {
    /// The service
    #[arg(long)]
    service: String,
    /// Its version
    #[arg(long)]
    version: String,
}

pub(super) async fn run(command: &Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let env = context.settings.env.value.clone();
    let (service, version, done) = match command {
        Command::Record(args) => {
            if let Some(path) = &args.usage {
                let of = Some((args.service.as_str(), args.version.as_str()));
                usage::publish(path, of, context).await?;
            }
            (&args.service, &args.version, "recorded as deployed")
        }
        Command::End(args) => (&args.service, &args.version, "recorded as ended"),
    };
    let fact = match command {
        Command::Record(args) => {
            Fact::Deployed { env: &env, service, version, keep_previous: args.keep_previous }
        }
        Command::End(_) => Fact::Ended { env: &env, service, version },
    };
    tell(&fact, [&env, service, version], done, context).await
}

pub(super) async fn release(command: &Release, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let env = context.settings.env.value.clone();
    let (Release::Record(args) | Release::End(args)) = command;
    let (env, service, version) = (env.as_str(), args.service.as_str(), args.version.as_str());
    let (fact, done) = match command {
        Release::Record(_) => (Fact::Released { env, service, version }, "recorded as released"),
        Release::End(_) => (Fact::Withdrawn { env, service, version }, "recorded as withdrawn"),
    };
    tell(&fact, [env, service, version], done, context).await
}

async fn tell(
    fact: &Fact<'_>,
    [env, service, version]: [&str; 3],
    done: &str,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    if !context.settings.gate.consumers.iter().any(|one| one.name == service) {
        let file = context.settings.config.value.display().to_string();
        context.reporter.warn(&format!("no `[[consumer]]` in {file} is called `{service}`"));
    }
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    observer.record(fact).await?;
    if context.reporter.format() == Format::Json {
        let report = serde_json::json!({
            "zdmig_deploy": 1, "env": env, "service": service, "version": version, "result": done
        });
        context.reporter.json(&report);
    } else {
        context.reporter.product(&format!("{service}@{version} is {done} in {env}\n"));
    }
    Ok(Exit::Done)
}
