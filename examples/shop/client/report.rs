//! What was seen, phase by phase, and whether it is what was promised.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How many users there were at the beginning
    #[arg(long)]
    users: i64,
    /// Where what was seen lies
    #[arg(long)]
    out: PathBuf,
    /// How many times the p99 at rest a phase's p99 may be; 0 where times are only shown
    #[arg(long)]
    p99_ratio: f64,
    /// How long it may take to give a retired column back, in ms
    #[arg(long)]
    restore_ms: u64,
}

/// The phases with which the others are compared: at rest.
const BEFORE: &str = "before";
const AFTER: &str = "after";

/// So many requests must be in a phase for its p99 to be judged.
const ENOUGH: usize = 5_000;

/// Who waits so long has been stopped, whatever the percentile says; in us.
const STALL: u64 = 1_000_000;

/// How long any way back may take, in ms.
const WAY_BACK: u64 = 5 * 60 * 1_000;

/// What was seen in a phase.
#[derive(Default)]
struct Phase {
    name: String,
    /// When it began, in ms since 1970.
    begun: u64,
    /// Of the checker's requests, in us.
    times: Vec<u64>,
    /// Answers that the proxy gave, to the checker and to the load.
    answers: u64,
    /// Those of them that were 5xx.
    failed: u64,
    /// Requests of the checker's that were not answered.
    unanswered: u64,
    /// Answers to the checker that were neither 5xx nor what it may be answered.
    refused: u64,
    /// Answers that were not what had been acknowledged.
    wrong: u64,
}

impl Phase {
    fn percentile(&self, of_hundred: usize) -> Option<u64> {
        let last = self.times.len().checked_sub(1)?;
        self.times.get(last * of_hundred / 100).copied()
    }
}

type Failure = Box<dyn std::error::Error>;

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let phases = phases(&args.out)?;
    let load = Load::read(&args.out)?;
    let found = Found::read(args)?;
    let named = |name: &str| phases.iter().position(|phase| phase.name == name);
    // Connections, caches, the first writes after a checkpoint: what comes before is not compared.
    let first = named(BEFORE).ok_or("there is no before")?;
    let last = named(AFTER).ok_or("there is no after")?;
    // Whatever disturbed one of the two is no measure.
    let rest = [first, last].map(|at| phases[at].percentile(99));
    let rest = rest.into_iter().flatten().min().unwrap_or_default();
    let mut broken = Vec::new();

    println!("| phase | s | answers | 5xx | unanswered | wrong | p50 | p99 | of rest | slowest |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (at, (phase, next)) in phases.iter().zip(phases.iter().skip(1)).enumerate() {
        let ratio = ratio(phase.percentile(99), rest);
        println!(
            "| {} | {:.1} | {} | {} | {} | {} | {} | {} | × {ratio:.2} | {} |",
            phase.name,
            seconds(next.begun - phase.begun),
            phase.answers,
            phase.failed,
            phase.unanswered,
            phase.wrong,
            milliseconds(phase.percentile(50)),
            milliseconds(phase.percentile(99)),
            milliseconds(phase.percentile(100)),
        );
        if at < first || args.p99_ratio <= 0.0 {
            continue;
        }
        // A percentile of few requests is one of them.
        if phase.times.len() >= ENOUGH && ratio >= args.p99_ratio {
            broken.push(format!("p99 was {ratio:.2} times that at rest, in: {}", phase.name));
        }
        if phase.percentile(100).is_some_and(|us| us >= STALL) {
            broken.push(format!("a request took a second or more, in: {}", phase.name));
        }
    }
    broken.extend(back(args)?);
    let sum = |of: fn(&Phase) -> u64| phases.iter().map(of).sum::<u64>();
    let (failed, wrong) = (sum(|phase| phase.failed), sum(|phase| phase.wrong));
    let unanswered = sum(|phase| phase.unanswered) + load.unanswered;
    let refused = sum(|phase| phase.refused) + load.refused.saturating_sub(failed);
    println!(
        "\n{} answers: {failed} of 5xx, {refused} others that were refused; {unanswered} requests unanswered; \
         {} rows with acknowledged writes, {} lost; {wrong} answers that were not what had been acknowledged.",
        sum(|phase| phase.answers),
        found.acknowledged,
        found.lost
    );
    for (count, what) in [
        (failed, "answers of 5xx"),
        (refused, "requests refused"),
        (unanswered, "requests without an answer"),
        (found.lost, "acknowledged writes lost"),
        (wrong, "answers that were not what had been acknowledged"),
    ] {
        if count > 0 {
            broken.push(format!("{count} {what}"));
        }
    }
    // Where nothing was sent, nothing was shown.
    let silent =
        |phase: &&Phase| phase.name != END && (phase.times.is_empty() || phase.answers == 0);
    if let Some(phase) = phases.iter().find(silent) {
        broken.push(format!("nothing was sent, in: {}", phase.name));
    }
    if load.requests == 0 || found.of_the_load == 0 {
        broken.push("the load has written nothing".into());
    }
    for one in &broken {
        println!("FAILED: {one}");
    }
    if broken.is_empty() {
        println!("passed");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every way back with its time; those that took too long.
fn back(args: &Args) -> Result<Vec<String>, Failure> {
    let ways_back = ways_back(&args.out)?;
    let mut broken = Vec::new();
    if !ways_back.is_empty() {
        println!("\n| back from | took |\n|---|---|");
    }
    for (state, took) in ways_back {
        println!("| {state} | {:.2} s |", seconds(took));
        let bound = if state.ends_with("is back") { args.restore_ms } else { WAY_BACK };
        if took >= bound {
            broken.push(format!("the way back took {took} ms, from: {state}"));
        }
    }
    Ok(broken)
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn ratio(p99: Option<u64>, before: u64) -> f64 {
    p99.unwrap_or_default() as f64 / before.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

fn milliseconds(us: Option<u64>) -> String {
    us.map_or_else(|| "–".into(), |us| format!("{:.1} ms", seconds(us)))
}

/// The lines of a file, each cut at its tabs.
fn lines(folder: &Path, name: &str) -> Result<Vec<Vec<String>>, Failure> {
    let path = super::file(folder, name);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
    Ok(text.lines().map(|line| line.split('\t').map(ToOwned::to_owned).collect()).collect())
}

fn number<T: std::str::FromStr>(line: &[String], at: usize) -> Result<T, Failure> {
    let cell = line.get(at).ok_or("a line is too short")?;
    cell.parse().map_err(|_| format!("`{cell}` is no number").into())
}

/// The name of what comes after the last phase.
const END: &str = "";

/// The phases with what was seen in each; the last is what comes after them all.
fn phases(folder: &Path) -> Result<Vec<Phase>, Failure> {
    let mut phases = Vec::new();
    for line in lines(folder, "phases.tsv")? {
        let name = line.get(1).ok_or("a phase has no name")?.clone();
        phases.push(Phase { name, begun: number(&line, 0)?, ..Phase::default() });
    }
    let within = |phases: &mut Vec<Phase>, at: u64| -> Option<usize> {
        phases.iter().rposition(|phase| phase.begun <= at)
    };
    let mut last = 0;
    for line in lines(folder, "seen.tsv")? {
        let (at, took, status) = (number(&line, 0)?, number(&line, 1)?, number::<u16>(&line, 2)?);
        last = last.max(at + 1);
        let Some(phase) = within(&mut phases, at) else { continue };
        phases[phase].times.push(took);
        phases[phase].unanswered += u64::from(status == 0);
        match line.get(3).map(String::as_str) {
            Some("wrong") => phases[phase].wrong += 1,
            Some("refused") if status != 0 && status < 500 => phases[phase].refused += 1,
            Some(_) => {}
            None => return Err("a line is too short".into()),
        }
    }
    for line in lines(folder, "access.tsv")? {
        let (seconds, status) = (number::<f64>(&line, 0)?, number::<u16>(&line, 1)?);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time")]
        let at = (seconds * 1e3) as u64;
        let Some(phase) = within(&mut phases, at) else { continue };
        phases[phase].answers += 1;
        phases[phase].failed += u64::from(status >= 500);
    }
    for phase in &mut phases {
        phase.times.sort_unstable();
    }
    phases.push(Phase { name: END.into(), begun: last, ..Phase::default() });
    Ok(phases)
}

fn ways_back(folder: &Path) -> Result<Vec<(String, u64)>, Failure> {
    let mut ways = Vec::new();
    for line in lines(folder, "ways-back.tsv")? {
        ways.push((line.first().cloned().unwrap_or_default(), number(&line, 1)?));
    }
    Ok(ways)
}

/// What was in the table at the end.
#[derive(Default)]
struct Found {
    /// Rows with writes that were acknowledged to the checker.
    acknowledged: usize,
    /// Rows that do not hold what they must.
    lost: u64,
    /// Rows that the load generator has written.
    of_the_load: usize,
}

/// The ids that the load generator writes begin behind this.
const OF_THE_LOAD: i64 = 1_000_000_000;

impl Found {
    fn read(args: &Args) -> Result<Self, Failure> {
        // What each row may hold: more than one thing, where a write was not acknowledged.
        let mut must: BTreeMap<i64, Vec<Option<String>>> = BTreeMap::new();
        for line in lines(&args.out, "acknowledged.tsv")? {
            let name = line.get(1).filter(|name| *name != "\\N").cloned();
            must.entry(number(&line, 0)?).or_default().push(name);
        }
        let acknowledged = must.values().filter(|names| names.len() == 1).count();
        for id in 1..=args.users {
            must.entry(id).or_insert_with(|| vec![Some(super::first_name(id))]);
        }
        let mut found = Self { acknowledged, ..Self::default() };
        let mut is = BTreeMap::new();
        for line in lines(&args.out, "found.tsv")? {
            let (id, name) = (number::<i64>(&line, 0)?, line.get(1).cloned());
            if id > OF_THE_LOAD {
                // Its rows have several writers: what each must hold is not known, but what it can.
                found.of_the_load += 1;
                found.lost += u64::from(!name.is_some_and(|name| name.starts_with("load ")));
            } else {
                is.insert(id, name);
            }
        }
        for (id, names) in &must {
            let is = is.get(id).cloned().flatten();
            if !names.contains(&is) {
                found.lost += 1;
                if found.lost <= 5 {
                    println!("user {id}: it must be one of {names:?}, {is:?} is there");
                }
            }
        }
        Ok(found)
    }
}

/// What the load generator says of itself.
#[derive(Default)]
struct Load {
    requests: u64,
    unanswered: u64,
    /// Answers that were not 2xx.
    refused: u64,
}

impl Load {
    fn read(folder: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(super::file(folder, "wrk.txt"))?;
        let mut load = Self::default();
        for line in text.lines().map(str::trim) {
            // "Socket errors: connect 0, read 3, write 0, timeout 0", where there were any.
            if let Some(errors) = line.strip_prefix("Socket errors:") {
                let numbers = errors.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok());
                load.unanswered = numbers.sum();
            }
            if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses: ") {
                load.refused = count.parse()?;
            }
            if let Some((count, _)) = line.split_once(" requests in ") {
                load.requests = count.parse()?;
            }
        }
        Ok(load)
    }
}
