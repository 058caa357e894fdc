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
    /// How many times the p99 from before a phase's p99 may be; 0 where it is only shown
    #[arg(long)]
    p99_ratio: f64,
    /// How long it may take to give a retired column back, in ms
    #[arg(long)]
    restore_ms: u64,
}

/// The phase with which the others are compared.
const BEFORE: &str = "before";

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
    refused: u64,
    /// Requests of the checker's that were not answered.
    unanswered: u64,
    /// Answers that were not what had been acknowledged.
    lost: u64,
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
    let (acknowledged, lost) = lost(args)?;
    // Connections, caches, the first writes after a checkpoint: what comes before is not compared.
    let first = phases.iter().position(|phase| phase.name == BEFORE).ok_or("there is no before")?;
    let before = phases[first].percentile(99).unwrap_or_default();
    let mut broken = Vec::new();

    println!("| phase | s | answers | 5xx | unanswered | wrong | p50 | p99 | of before |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for (at, (phase, next)) in phases.iter().zip(phases.iter().skip(1)).enumerate() {
        let ratio = ratio(phase.percentile(99), before);
        println!(
            "| {} | {:.1} | {} | {} | {} | {} | {} | {} | × {ratio:.2} |",
            phase.name,
            seconds(next.begun - phase.begun),
            phase.answers,
            phase.refused,
            phase.unanswered,
            phase.lost,
            milliseconds(phase.percentile(50)),
            milliseconds(phase.percentile(99)),
        );
        if at > first && args.p99_ratio > 0.0 && ratio >= args.p99_ratio {
            broken.push(format!("p99 was {ratio:.2} times that from before, in: {}", phase.name));
        }
    }
    let ways_back = ways_back(&args.out)?;
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
    let sum = |of: fn(&Phase) -> u64| phases.iter().map(of).sum::<u64>();
    let refused = sum(|phase| phase.refused);
    let unanswered = sum(|phase| phase.unanswered) + load.unanswered;
    let wrong = sum(|phase| phase.lost);
    println!(
        "\n{} answers: {refused} of 5xx; {unanswered} requests unanswered; {acknowledged} rows with acknowledged \
         writes, {lost} lost; {wrong} answers that were not what had been acknowledged.",
        sum(|phase| phase.answers)
    );
    for (count, what) in [
        (refused, "answers of 5xx"),
        (unanswered, "requests without an answer"),
        (lost, "acknowledged writes lost"),
        (wrong, "answers that were not what had been acknowledged"),
    ] {
        if count > 0 {
            broken.push(format!("{count} {what}"));
        }
    }
    // Where nothing was sent, nothing was shown.
    if load.requests == 0 || phases.iter().any(|phase| phase.answers == 0 && phase.name != END) {
        broken.push("a phase had no load".into());
    }
    for one in &broken {
        println!("FAILED: {one}");
    }
    if broken.is_empty() {
        println!("passed");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        phases[phase].lost += number::<u64>(&line, 3)?;
    }
    for line in lines(folder, "access.tsv")? {
        let (seconds, status) = (number::<f64>(&line, 0)?, number::<u16>(&line, 1)?);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time")]
        let at = (seconds * 1e3) as u64;
        let Some(phase) = within(&mut phases, at) else { continue };
        phases[phase].answers += 1;
        phases[phase].refused += u64::from(status >= 500);
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

/// How many rows hold writes that were acknowledged, and how many rows do not hold what they must.
fn lost(args: &Args) -> Result<(usize, u64), Failure> {
    let mut must: BTreeMap<i64, Option<String>> = BTreeMap::new();
    for id in 1..=args.users {
        must.insert(id, Some(super::first_name(id)));
    }
    let acknowledged = lines(&args.out, "acknowledged.tsv")?;
    for line in &acknowledged {
        let name = line.get(1).filter(|name| *name != "\\N").cloned();
        must.insert(number(line, 0)?, name);
    }
    let mut found = BTreeMap::new();
    for line in lines(&args.out, "found.tsv")? {
        found.insert(number::<i64>(&line, 0)?, line.get(1).cloned());
    }
    let mut lost = 0;
    for (id, name) in &must {
        let is = found.get(id).cloned().flatten();
        if is != *name {
            lost += 1;
            if lost <= 5 {
                println!("user {id}: {name:?} was acknowledged, {is:?} is there");
            }
        }
    }
    Ok((acknowledged.len(), lost))
}

/// What the load generator says of itself.
#[derive(Default)]
struct Load {
    requests: u64,
    unanswered: u64,
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
            if let Some((count, _)) = line.split_once(" requests in ") {
                load.requests = count.parse()?;
            }
        }
        Ok(load)
    }
}
