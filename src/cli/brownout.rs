use std::path::PathBuf;
use std::time::Duration;

use super::context::{Context, start};
use super::failure::{Exit, Failure};
use super::gate;
use super::phase::{WaitArgs, time};
use crate::dialect::Refused;
use crate::engine::{Brownout, BrownoutEnd, BrownoutOrder, dimmable};
use crate::plan::{Phase, Plan};
use crate::report::Format;

/// Take away for a while what contract would, and give it back at the first statement that fails
///
/// By privileges: no lock, and every other statement goes on. The server gives it back by itself
/// when zdmig is killed. Ends with 16 where a statement failed.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name
    pub(super) id: String,
    /// For how long
    #[arg(long, value_name = "TIME")]
    duration: String,
    /// So many failed statements end it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    max_errors: u32,
    /// A command that fails where the application does, run every second
    #[arg(long, value_name = "COMMAND")]
    probe: Option<String>,
    /// The server's log on this machine, where it cannot be read through the server
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// After how long a silence of zdmig the server gives it back
    #[arg(long, value_name = "TIME", default_value = "3s")]
    lease: String,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let lease = time("--lease", &args.lease)?;
    if lease < Duration::from_secs(1) {
        return Err(Failure::usage("`--lease` is at least 1s: it is renewed four times as often"));
    }
    let policy = &context.settings.gate;
    let order = BrownoutOrder {
        lasts: time("--duration", &args.duration)?,
        max_errors: args.max_errors as usize,
        probe: args.probe.clone(),
        log: args.log.clone(),
        roles: policy.consumers.iter().flat_map(|one| one.roles.clone()).collect(),
        lease,
    };
    // Whoever has the run lock to himself gives back what a brownout left away.
    let mut session = context.connect_alone().await?;
    let journal = context.journal(&mut *session).await?;
    let plan = gate::taken_up(&args.id, &journal, context)?;
    suits(&plan, &journal)?;
    let mut dimmer = context.dialect()?.dimmer(&context.url()?).await?;
    let server = session.server().await?;
    let options = context.engine_options(context.dialect()?.capabilities(&server).single_writer);
    let (cancel, wait) = (context.cancel, args.wait.time()?);
    let mut unheard = |_: crate::engine::Event<'_>| {};
    let mut engine = start(&mut *session, &options, cancel, wait, &mut unheard).await?;
    let columns: Vec<String> = dimmable(&plan).iter().map(ToString::to_string).collect();
    let reporter = &mut *context.reporter;
    let mut told = |dark: &crate::dialect::Dark| {
        let seen = dark.log.as_ref().map(|log| format!(", and watches {log}")).unwrap_or_default();
        reporter.narrate(&format!(
            "dark: {} in {:.1} ms, for {}{seen}",
            columns.join(", "),
            dark.took.as_secs_f64() * 1000.0,
            humantime::format_duration(order.lasts),
        ));
    };
    let done = engine.brownout(&plan, &mut *dimmer, &order, &mut told).await?;
    Ok(tell(&plan, &columns, &done, context))
}

/// Whether there is something that a brownout of this plan can show.
fn suits(plan: &Plan, journal: &crate::journal::Journal) -> Result<(), Failure> {
    let id = &plan.migration;
    if journal.begun(plan, Phase::Contract) || journal.begun(plan, Phase::Purge) {
        return Err(Failure::usage(format!("`{id}` is contracted, so nothing is left to try"))
            .hint(format!("zdmig restore {id}")));
    }
    if dimmable(plan).is_empty() {
        return Err(Failure::usage(format!(
            "contract of `{id}` takes no column away by privileges, so it cannot be tried for a while"
        ))
        .hint(format!("zdmig plan {id}")));
    }
    Ok(())
}

fn tell(plan: &Plan, columns: &[String], done: &Brownout, context: &mut Context<'_>) -> Exit {
    let id = &plan.migration;
    let (word, exit) = match &done.end {
        BrownoutEnd::Passed => ("passed", Exit::Done),
        BrownoutEnd::Tripped => ("tripped", Exit::Tripped),
        BrownoutEnd::Blind(_) => ("blind", Exit::GateUnknown),
        BrownoutEnd::Interrupted => ("interrupted", Exit::Interrupted),
    };
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    if context.reporter.format() == Format::Json {
        let refused: Vec<_> = done
            .refused
            .iter()
            .map(|one| {
                serde_json::json!({
                    "role": one.role, "application": one.application, "statement": one.statement
                })
            })
            .collect();
        context.reporter.json(&serde_json::json!({
            "zdmig_brownout": 1, "migration": id.to_string(), "columns": columns, "result": word,
            "lasted_ms": millis(done.lasted), "restored_ms": millis(done.restored),
            "refused": refused, "unstopped": done.dark.unstopped,
        }));
        return exit;
    }
    let pen = context.reporter.pen();
    let restored = format!("given back in {:.1} ms", millis(done.restored));
    let text = match &done.end {
        BrownoutEnd::Passed => {
            let lasted = humantime::format_duration(Duration::from_secs(done.lasted.as_secs()));
            let but = match done.refused.len() {
                0 => "no statement failed".to_owned(),
                count => format!("{count} statements failed, fewer than --max-errors"),
            };
            format!(
                "brownout {id}   {}\n\n{} was away for {lasted}, and {but}; {restored}\n\nnext: zdmig gate {id}\n",
                pen.good("passed"),
                columns.join(", ")
            )
        }
        BrownoutEnd::Tripped => {
            let failed: String = done.refused.iter().map(line).collect();
            format!(
                "brownout {id}   {} after {:.0} ms, {restored}\n\n{failed}\nnext: find who that is, then: zdmig \
                 brownout {id} --duration …\n",
                pen.bad("tripped"),
                millis(done.lasted)
            )
        }
        BrownoutEnd::Blind(why) => format!(
            "brownout {id}   {}\n\n  ? {why}, so it would prove nothing; {restored}\n\nnext: zdmig doctor\n",
            pen.warn("blind")
        ),
        BrownoutEnd::Interrupted => {
            format!("brownout {id}   {}; {restored}\n", pen.warn("interrupted"))
        }
    };
    context.reporter.product(&text);
    exit
}

fn line(one: &Refused) -> String {
    let who = match (one.application.as_str(), one.role.as_str()) {
        ("", "") => String::new(),
        ("", role) => format!("role {role}: "),
        (application, role) => format!("{application} (role {role}): "),
    };
    format!("  ✗ {who}{}\n", one.statement)
}
