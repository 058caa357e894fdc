//! One verb in many schemas: a tenant each.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::apart::{Ended, Scope, apart};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{Cli, Command};
use crate::config::{Origin, Settings};
use crate::dialect;
use crate::report::{Format, Reporter, counted};
use crate::sql::Ident;

/// How a verb goes over schemas.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SchemasArgs {
    /// In each schema whose name fits, as `tenant_*`: names in the SQL mean those of that schema,
    /// and what was done is kept for each
    #[arg(long, global = true, value_name = "PATTERN")]
    pub(super) schemas: Option<String>,
    /// The schema that goes first, alone; the others follow where it went well [default: the first
    /// by name]
    #[arg(long, global = true, value_name = "SCHEMA")]
    canary: Option<String>,
    /// In how many schemas to work at the same time, after the canary
    #[arg(long, global = true, value_name = "COUNT", default_value = "4",
          value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
}

/// A schema, and how the verb ended there.
struct There {
    schema: String,
    ended: Ended,
}

impl There {
    fn exit(&self) -> Exit {
        match &self.ended.outcome {
            Ok(exit) => *exit,
            Err(failure) => failure.exit(),
        }
    }

    /// Whether the others should not begin: what went wrong here will go wrong there. Whom the gate
    /// or a lock holds up here holds nobody up there.
    fn stops(&self) -> bool {
        let goes_on = [Exit::Done, Exit::GateRefuse, Exit::GateUnknown, Exit::Busy, Exit::Pending];
        !goes_on.contains(&self.exit())
    }

    fn says_nothing(&self) -> bool {
        self.ended.product.starts_with("nothing to ")
    }
}

/// The verbs that can go over schemas, by the name that is shown.
pub(super) fn verb(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Plan(_) => "plan",
        Command::Expand(_) => "expand",
        Command::Backfill(_) => "backfill",
        Command::Contract(_) => "contract",
        Command::Restore(_) => "restore",
        Command::Purge(_) => "purge",
        Command::Rollback(_) => "rollback",
        // A database is one.
        Command::Wait(args) if args.for_database => return None,
        Command::Wait(_) => "wait",
        Command::Baseline(_) => "baseline",
        Command::Adopt(_) => "adopt",
        _ => return None,
    })
}

/// Whether a verb can work in a schema: it is there, its name can be kept, the role may use it, and
/// what the command line asks is of one schema.
pub(super) async fn fits(
    schema: &str,
    verifies: bool,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if schema.contains(['/', '@']) {
        return Err(odd(schema));
    }
    if verifies {
        return Err(Failure::usage("a plan of one schema of several cannot be verified")
            .hint("verify it on a database in which the tables are in `public`"));
    }
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    match observer.has_schema(schema).await? {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::usage(format!("the role may not use the schema `{schema}`"))
            .hint("its tables would be looked for in `public`: grant USAGE on it")),
        None => Err(Failure::usage(format!("there is no schema `{schema}`"))
            .hint("write all of its name, in its own letters")),
    }
}

fn odd(schema: &str) -> Failure {
    Failure::usage(format!("the schema `{schema}` has a `/` or an `@` in its name"))
        .hint("zdmig cannot keep what is done there: rename it, or choose a pattern without it")
}

/// What only makes sense for one schema.
fn of_one(command: &Command, settings: &Settings) -> Option<&'static str> {
    let listens = settings.metrics_listen.as_ref().map(|one| &one.origin);
    let listens = matches!(listens, Some(Origin::Flag(_)));
    match command {
        Command::Plan(args) if args.output.is_some() => Some("-o"),
        Command::Expand(args) if args.plan.is_some() => Some("--plan"),
        Command::Expand(_) | Command::Backfill(_) if listens => Some("--metrics-listen"),
        _ => None,
    }
}

/// Runs a verb in every schema that fits: the canary alone, then the others side by side. Where one
/// fails no other is begun, and the same command goes on.
pub(super) async fn in_each(
    cli: Cli,
    scope: &Scope,
    settings: &Settings,
    reporter: &mut Reporter,
    cancel: &CancellationToken,
) -> Result<Exit, Failure> {
    let verb = verb(&cli.command).unwrap_or_default();
    if ![Format::Human, Format::Json].contains(&reporter.format()) {
        return Err(Failure::usage(format!(
            "`{verb}` in several schemas answers as human or json"
        )));
    }
    if let Some(flag) = of_one(&cli.command, settings) {
        return Err(Failure::usage(format!("`{flag}` is of one schema"))
            .hint(format!("name one: zdmig {verb} 1_rename@tenant_a {flag} …")));
    }
    let mut waiting = schemas(&cli.global.schemas, settings).await?;
    let all = waiting.len();
    let parallel = usize::from(cli.global.schemas.parallel);
    let mut running = JoinSet::new();
    let mut ended: Vec<There> = Vec::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel::<String>();
    loop {
        let stopped = cancel.is_cancelled() || ended.iter().any(There::stops);
        // The canary is alone, and the first.
        let most = if ended.is_empty() { 1 } else { parallel };
        while !stopped && running.len() < most {
            let Some(schema) = waiting.pop_front() else { break };
            let scope = Scope { schema: Some(schema.clone()), ..scope.clone() };
            let (cli, cancel, tell) = (cli.clone(), cancel.clone(), tell.clone());
            let format = reporter.format();
            let name = schema.clone();
            let narration = move |text: &str| {
                // Nobody may listen any more.
                let _ = tell.send(format!("{name}: {text}"));
            };
            running.spawn(async move {
                There { ended: apart(cli, scope, format, narration, &cancel).await, schema }
            });
        }
        tokio::select! {
            one = running.join_next() => match one {
                Some(Ok(there)) => {
                    if reporter.format() == Format::Human && !there.says_nothing() {
                        reporter.product(&there.ended.product);
                    }
                    ended.push(there);
                }
                Some(Err(error)) => return Err(Failure::new(Exit::Bug, error.to_string())),
                None => break,
            },
            Some(text) = told.recv() => if reporter.verbose() { reporter.narrate(&text) },
        }
    }
    Ok(report(verb, all, ended, reporter))
}

/// The schemas that fit, the canary first.
async fn schemas(args: &SchemasArgs, settings: &Settings) -> Result<VecDeque<String>, Failure> {
    let Some(pattern) = settings.schemas.as_ref().map(|setting| setting.value.as_str()) else {
        return Ok(VecDeque::new());
    };
    let url = settings.database_url.as_ref().map(|setting| setting.value.clone());
    let url = url.ok_or_else(|| Failure::usage("no database is named"))?;
    let dialect = dialect::for_url(&url)?;
    if dialect.in_schema(&url, &Ident::new(pattern)).is_none() {
        return Err(Failure::usage(format!("{} has no schemas", dialect.product()))
            .hint("leave `schemas` away; tenants have a file each there"));
    }
    let found = dialect.attach(&url, "zdmig").await?.observer.schemas(pattern).await?;
    if found.is_empty() {
        return Err(Failure::usage(format!("no schema fits `{pattern}`"))
            .hint("`*` stands for anything, `?` for one letter; quote it for your shell"));
    }
    if let Some(name) = found.iter().find(|name| name.contains(['/', '@'])) {
        return Err(odd(name));
    }
    let mut found = VecDeque::from(found);
    if let Some(canary) = &args.canary {
        let at = found.iter().position(|name| name == canary);
        let at = at.ok_or_else(|| {
            Failure::usage(format!("the canary `{canary}` is no schema that fits `{pattern}`"))
        })?;
        found.swap(0, at);
        found.make_contiguous()[1..].sort();
    }
    Ok(found)
}

/// What came of it, and the code: the first that is not 0.
fn report(verb: &str, all: usize, mut ended: Vec<There>, reporter: &mut Reporter) -> Exit {
    let first = ended.iter().find(|there| there.stops());
    let first = first.or_else(|| ended.iter().find(|there| there.exit() != Exit::Done));
    let exit = first.map_or(Exit::Done, There::exit);
    let begun = ended.len();
    ended.sort_by(|a, b| a.schema.cmp(&b.schema));
    if reporter.format() == Format::Json {
        let list: Vec<_> = ended.into_iter().map(as_json).collect();
        let answer = json!({
            "zdmig_schemas": 1, "verb": verb, "schemas": list, "not_begun": all - begun,
        });
        reporter.json(&answer);
        return exit;
    }
    let done = ended.iter().filter(|there| there.exit() == Exit::Done).count();
    let idle = ended.iter().filter(|there| there.says_nothing()).count();
    let mut text = format!("{verb} in {}: {done} done", counted(all as u64, "schema"));
    for (count, what) in
        [(idle, "of which had nothing to do"), (begun - done, "not"), (all - begun, "not begun")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text.push('\n');
    for there in ended {
        let code = there.exit() as u8;
        let (schema, outcome) = (there.schema, there.ended.outcome);
        if let Err(failure) = outcome {
            let (_, message, next) = failure.into_parts();
            text.push_str(&format!("\n{schema} ({code}): {message}\n"));
            text.extend(next.iter().map(|next| format!("  next: {next}\n")));
        }
    }
    if all > begun {
        text.push_str(
            "next: mend that, then the same command again: what is done is not done twice\n",
        );
    }
    reporter.product(&text);
    exit
}

fn as_json(there: There) -> Value {
    let code = there.exit() as u8;
    let lines = there.ended.product.lines();
    let answers: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (message, next) = match there.ended.outcome {
        Ok(_) => (None, Vec::new()),
        Err(failure) => {
            let (_, message, next) = failure.into_parts();
            (Some(message), next)
        }
    };
    json!({
        "schema": there.schema, "exit": code, "answers": answers, "message": message, "next": next,
    })
}
