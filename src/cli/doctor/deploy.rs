//! `zdmig doctor --deploy`: the checklist before a deploy, as far as a machine can tell.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::health;
use crate::cli::context::{Context, owner};
use crate::cli::failure::{Exit, Failure};
use crate::cli::{plan, project, rehearse};
use crate::gate::{SourceKind, nginx_words};
use crate::plan::{Phase, Plan, Severity, Undo};
use crate::rehearsal::{Budget, Rehearsal};
use crate::report::{Format, counted, render_runbook};

/// A way back that takes longer is none in an emergency.
const WAY_BACK: f64 = 300.0;

/// Requests that are under way are given this long, in seconds, where there is a limit.
const DRAIN: u64 = 30;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Checklist {
    /// The checklist before a deploy instead: health, draining, plans, rehearsals, ways back, alerts, runbooks
    #[arg(long)]
    pub(super) deploy: bool,
    /// Of --deploy: the health endpoint of an instance that --start starts
    #[arg(long, value_name = "URL", requires = "start", requires = "deploy")]
    health: Option<String>,
    /// Of --deploy: a command that starts an instance for the check, with `{database}` where the host and port
    /// of its database stand
    #[arg(long, value_name = "COMMAND", requires = "health")]
    start: Option<String>,
    /// Of --deploy: the proxy's main file, with what it includes; those that name a consumer's servers are
    /// looked at by themselves
    #[arg(long, value_name = "FILE", requires = "deploy")]
    nginx: Vec<PathBuf>,
    /// Of --deploy: the folder of runbooks, one for each migration
    #[arg(long, value_name = "DIR", default_value = "runbooks")]
    runbooks: PathBuf,
    /// Of --deploy: exit with 10 where something is to be changed
    #[arg(long, requires = "deploy")]
    pub(super) exit_code: bool,
}

/// How one line of the list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Kept,
    Broken,
    /// Nothing was there to look at.
    NotChecked,
}

/// One line of the list.
#[derive(Clone, Debug, Serialize)]
struct Item {
    about: &'static str,
    state: State,
    /// What was looked at.
    looked_at: String,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl Item {
    fn kept(about: &'static str, looked_at: impl Into<String>, found: impl Into<String>) -> Self {
        let (looked_at, found) = (looked_at.into(), found.into());
        Self { about, state: State::Kept, looked_at, found, remedy: String::new() }
    }

    fn broken(
        about: &'static str,
        looked_at: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let item = Self::kept(about, looked_at, found);
        Self { state: State::Broken, remedy: remedy.into(), ..item }
    }

    fn not_checked(about: &'static str, looked_at: &str, remedy: &str) -> Self {
        let item = Self::kept(about, looked_at, "not checked");
        Self { state: State::NotChecked, remedy: remedy.to_owned(), ..item }
    }
}

pub(super) async fn run(args: &Checklist, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut list = vec![healthy(args, context).await?];
    list.push(draining(args, context));
    let plans = open(context).await?;
    if plans.is_empty() {
        list.push(Item::kept("plans", "the journal and the files", "nothing is open or pending"));
    }
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    for plan in &plans {
        let rehearsed = rehearse::latest(&mut *observer, plan).await?;
        list.push(apart(plan));
        list.push(rehearsal(plan, rehearsed.as_ref(), context.settings.budget()));
        list.push(way_back(plan, rehearsed.as_ref()));
        list.push(runbook(plan, &args.runbooks, context));
    }
    list.push(alerts(context).await);
    let broken = list.iter().filter(|item| item.state == State::Broken).count();
    tell(&list, broken, context);
    Ok(if args.exit_code && broken > 0 { Exit::Refused } else { Exit::Done })
}

/// Plans that are begun and not done, and those of what is pending.
async fn open(context: &mut Context<'_>) -> Result<Vec<Plan>, Failure> {
    let files = project::files(context)?;
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    let mut plans: Vec<Plan> =
        journal.plans().filter(|plan| journal.in_flight(&plan.migration)).cloned().collect();
    if let Some(last) = files.iter().rfind(|file| journal.is_new(&file.id)) {
        let last = last.id.clone();
        plans.extend(plan::pending_up_to(&last, files, &mut *session, context).await?);
    }
    Ok(plans)
}

async fn healthy(args: &Checklist, context: &Context<'_>) -> Result<Item, Failure> {
    const ABOUT: &str = "health";
    let (Some(url), Some(command)) = (&args.health, &args.start) else {
        let remedy = "start an instance for it: --health http://127.0.0.1:8080/health --start \
                      'DATABASE_URL=postgres://app@{database}/shop ./shop'";
        return Ok(Item::not_checked(
            ABOUT,
            "whether it answers 503 with its database gone",
            remedy,
        ));
    };
    if !command.contains(health::PLACE) {
        return Err(Failure::usage(format!("the command of `--start` has no `{}`", health::PLACE))
            .hint("write it where the host and port of the instance's database stand"));
    }
    let Some(database) = context.dialect()?.host(&context.url()?) else {
        let remedy = "give an address with a host and a port by --database-url";
        return Ok(Item::not_checked(ABOUT, "a database that is reached by no network", remedy));
    };
    Ok(match health::watched(command, url, &database).await {
        Ok(found) => Item::kept(ABOUT, url, found),
        Err(found) => Item::broken(
            ABOUT,
            url,
            found,
            "ask the database in it what this version asks it, and answer 503 where that fails",
        ),
    })
}

/// What the proxy does with requests that are under way when it is told of other servers.
fn draining(args: &Checklist, context: &Context<'_>) -> Item {
    const ABOUT: &str = "draining";
    let mut files = args.nginx.clone();
    for source in context.settings.gate.consumers.iter().flat_map(|one| &one.sources) {
        if let SourceKind::Nginx { files: named, .. } = &source.kind {
            files.extend(named.iter().cloned());
        }
    }
    files.sort();
    files.dedup();
    let shown: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    let shown = shown.join(", ");
    let remedy = "name all of the proxy's files: --nginx /etc/nginx/nginx.conf --nginx …";
    let mut words = Vec::new();
    for path in &files {
        match std::fs::read_to_string(path) {
            Ok(text) => words.extend(nginx_words(&text)),
            Err(error) => {
                let found = format!("`{}` cannot be read: {error}", path.display());
                return Item::broken(ABOUT, shown, found, remedy);
            }
        }
    }
    // Without the server itself there is nothing to say of it.
    if !words.iter().any(|word| word == "listen") {
        let looked_at = if files.is_empty() {
            "no file of a proxy was named"
        } else {
            "no server listens in them"
        };
        return Item::not_checked(ABOUT, looked_at, remedy);
    }
    drains(ABOUT, shown, &words)
}

/// What the words of all files say.
fn drains(about: &'static str, shown: String, words: &[String]) -> Item {
    let setting = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).cloned()
    };
    // A number alone is seconds.
    let time = |text: &str| match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    if let Some(limit) = setting("worker_shutdown_timeout")
        && time(&limit).is_none_or(|time| time.as_secs() < DRAIN)
    {
        let found = format!("worker_shutdown_timeout {limit} cuts off requests that take longer");
        let remedy = format!("give them {DRAIN} s or more, or no limit");
        return Item::broken(about, shown, found, remedy);
    }
    let kept = setting("keepalive_timeout").is_none_or(|text| time(&text) != Some(Duration::ZERO));
    if kept && setting("keepalive_min_timeout").is_none() {
        return Item::broken(
            about,
            shown,
            "a reload closes kept connections, and a request that is sent at that instant is lost",
            "set keepalive_min_timeout (nginx 1.27.4), or see to it that clients send again",
        );
    }
    Item::kept(about, shown, "requests that are under way are finished where they are")
}

/// Whether a plan keeps running code running.
fn apart(plan: &Plan) -> Item {
    const ABOUT: &str = "phases";
    let looked_at = format!("the plan of {}", plan.migration);
    let harsh: Vec<String> = plan
        .hazards
        .iter()
        .filter(|hazard| hazard.severity() == Severity::Deny)
        .map(|hazard| match &hazard.allowed {
            Some(because) => format!("{} (allowed: {because})", hazard.code),
            None => hazard.code.clone(),
        })
        .collect();
    if harsh.is_empty() {
        return Item::kept(
            ABOUT,
            looked_at,
            "expand, backfill and contract, and no hazard that is denied",
        );
    }
    let remedy = format!("`zdmig plan {}` says what would do without", plan.migration);
    Item::broken(ABOUT, looked_at, harsh.join(", "), remedy)
}

fn rehearsal(plan: &Plan, rehearsed: Option<&Rehearsal>, budget: Budget) -> Item {
    const ABOUT: &str = "rehearsal";
    let looked_at = format!("what is on record of {}", plan.migration);
    let remedy = format!("zdmig rehearse {} --workload FILE", plan.migration);
    // By the budget that the project has: who gave themselves a larger one is told so here.
    let judged = rehearsed.cloned().map(|mut found| {
        found.judge(budget);
        found
    });
    match judged {
        Some(found) if found.passed() => Item::kept(ABOUT, looked_at, found.words()),
        Some(found) => {
            let beyond: Vec<_> =
                found.broken.iter().map(|one| format!("{}: {}", one.phase, one.found)).collect();
            let words = format!("{} ({})", found.words(), beyond.join("; "));
            Item::broken(ABOUT, looked_at, words, remedy)
        }
        None => Item::broken(ABOUT, looked_at, "this plan was not rehearsed", remedy),
    }
}

fn way_back(plan: &Plan, rehearsed: Option<&Rehearsal>) -> Item {
    const ABOUT: &str = "way back";
    let looked_at = format!("the rehearsal of {}", plan.migration);
    let remedy = format!("zdmig rehearse {} --workload FILE times each of them", plan.migration);
    let barred = plan
        .steps
        .iter()
        .find(|step| step.phase < Phase::Purge && step.lowered.undo == Undo::Impossible);
    if let Some(step) = barred {
        let found = format!("none: `{}` cannot be taken back", step.id.slug());
        let remedy = "put what cannot be taken back into a migration of its own";
        return Item::broken(ABOUT, format!("the plan of {}", plan.migration), found, remedy);
    }
    match rehearsed.and_then(Rehearsal::longest_way_back) {
        None => Item::broken(ABOUT, looked_at, "no way back was timed", remedy),
        Some(seconds) if seconds < WAY_BACK => {
            Item::kept(ABOUT, looked_at, format!("{seconds:.1} s at most"))
        }
        Some(seconds) => {
            let found = format!("{seconds:.0} s, and 300 s are the most that is called going back");
            Item::broken(ABOUT, looked_at, found, "split the migration, or go forward instead")
        }
    }
}

fn runbook(plan: &Plan, folder: &Path, context: &Context<'_>) -> Item {
    const ABOUT: &str = "runbook";
    let path = folder.join(format!("{}.md", plan.migration));
    let remedy = format!("zdmig plan {} --format markdown > {}", plan.migration, path.display());
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Item::broken(ABOUT, path.display().to_string(), "there is none", remedy);
    };
    let names: Vec<_> =
        context.settings.gate.consumers.iter().map(|one| one.name.as_str()).collect();
    // Estimates change from day to day, and the runbook says none.
    if text.contains(plan.fingerprint.as_str()) && text.contains(&render_runbook(plan, &names)) {
        return Item::kept(ABOUT, path.display().to_string(), "it is this plan's");
    }
    Item::broken(ABOUT, path.display().to_string(), "it is of another plan", remedy)
}

async fn alerts(context: &Context<'_>) -> Item {
    const ABOUT: &str = "alerts";
    let Some(webhook) = &context.settings.webhook else {
        let remedy = "set ZDMIG_WEBHOOK, or `webhook` in zdmig.toml, so that a phase that fails or stands still is told";
        return Item::broken(ABOUT, "the settings", "nobody is told of phases that fail", remedy);
    };
    let (url, env, by) = (webhook.value.reveal(), &context.settings.env.value, owner());
    match crate::telemetry::try_webhook(url, env, &by).await {
        Ok(()) => Item::kept(ABOUT, "the webhook", "it took a message just now (event `tried`)"),
        Err(error) => Item::broken(ABOUT, "the webhook", error, "correct its address"),
    }
}

fn tell(list: &[Item], broken: usize, context: &mut Context<'_>) {
    if context.reporter.format() == Format::Json {
        return context.reporter.json(&serde_json::json!({ "zdmig_checklist": 1, "items": list }));
    }
    let pen = context.reporter.pen();
    let mut text = String::new();
    for item in list {
        let mark = match item.state {
            State::Kept => pen.good("✓"),
            State::Broken => pen.bad("✗"),
            State::NotChecked => pen.warn("?"),
        };
        text.push_str(&format!("{mark} {:<10} {}: {}\n", item.about, item.looked_at, item.found));
        if !item.remedy.is_empty() {
            text.push_str(&format!("  {:<10} {} {}\n", "", pen.dim("→"), item.remedy));
        }
    }
    let open = list.iter().filter(|item| item.state == State::NotChecked).count();
    text.push_str(&match (broken, open) {
        (0, 0) => "\neverything is as it should be\n".to_owned(),
        _ => format!("\n{} to change, {open} not checked\n", counted(broken as u64, "thing")),
    });
    context.reporter.product(&text);
}
