use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Pen, counted, duration, grouped, table};

/// Where everything stands.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// The version of this format.
    pub zdmig_status: u32,
    /// The database, without its password.
    pub database: String,
    /// The product and version.
    pub server: String,
    /// The zdmig that is at work, and whom it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_work: Option<WorkLine>,
    /// One line per migration, in order.
    pub migrations: Vec<Line>,
    /// Where each setting comes from, where that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<(String, String, String)>,
}

/// Where one migration stands.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The migration.
    pub migration: String,
    /// `pending`, `expanding`, `expanded`, …
    pub state: String,
    /// How far a fill has come, or what failed.
    pub detail: String,
    /// Days since it was taken up, while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_days: Option<i64>,
    /// The fill that it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<FillLine>,
    /// What the gate has against the phase that comes next, where it is that phase's turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// The next command.
    pub next: String,
}

/// A zdmig that is at work.
#[derive(Debug, Serialize)]
pub struct WorkLine {
    /// Who, as it wrote itself down.
    pub owner: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Who is in the way of its statement.
    pub waits_for: Vec<String>,
}

/// Where a fill stands.
#[derive(Debug, Serialize)]
pub struct FillLine {
    /// Its step.
    pub step: String,
    /// Rows that it changed.
    pub rows: u64,
    /// About so many rows are to be walked over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_in_all: Option<u64>,
    /// The share of the table that is walked over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Rows walked over in a second, by all workers.
    pub rows_per_second: f64,
    /// How long it takes at that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// Workers of all processes.
    pub workers: u32,
    /// Their pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<String>,
    /// The processes that are at it.
    pub runners: Vec<String>,
    /// What holds it back right now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
}

impl fmt::Display for FillLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} filled", counted(self.rows, "row"))?;
        if let Some(share) = self.share {
            write!(f, ", {:.0} %", share * 100.0)?;
        }
        if self.workers == 0 {
            return match &self.held_by {
                Some(by) => write!(f, "; {by}"),
                None => f.write_str("; nobody is at it"),
            };
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
        let rate = self.rows_per_second.round() as u64;
        let workers = counted(u64::from(self.workers), "worker");
        write!(f, "; {workers}, {} rows/s", grouped(rate))?;
        if let Some(left) = self.seconds_left {
            write!(f, ", {} left", duration(Duration::from_secs_f64(left)))?;
        }
        match &self.held_by {
            Some(by) => write!(f, "; held back: {by}"),
            None => Ok(()),
        }
    }
}

/// A row for each line; schemas in which a migration stands at the same are one.
fn rows(lines: &[Line], schemas: Option<&str>) -> Vec<Vec<String>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for line in lines {
        let (id, schema) = match line.migration.split_once('@') {
            // One of which there is more to say has a row of its own.
            Some((id, schema)) if line.detail.is_empty() => (id, Some(schema)),
            _ => (line.migration.as_str(), None),
        };
        let same = |group: &&mut Group<'_>| {
            let of = |line: &Line| (line.state.clone(), line.open_days);
            schema.is_some() && !group.schemas.is_empty() && of(group.line) == of(line)
        };
        let near = groups.iter_mut().rev().take_while(|group| group.id == id);
        match (near.into_iter().find(same), schema) {
            (Some(group), Some(schema)) => group.schemas.push(schema),
            _ => groups.push(Group { id, line, schemas: schema.into_iter().collect() }),
        }
    }
    groups.iter().map(|group| group.row(schemas)).collect()
}

/// A migration, and the schemas in which it stands at the same.
struct Group<'a> {
    id: &'a str,
    line: &'a Line,
    schemas: Vec<&'a str>,
}

impl Group<'_> {
    fn row(&self, flag: Option<&str>) -> Vec<String> {
        let line = self.line;
        let open = line.open_days.map(|days| format!("{days} d")).unwrap_or_default();
        let (detail, next) = match (self.schemas.as_slice(), line.next.split_once('@')) {
            ([], _) => (line.detail.clone(), line.next.clone()),
            (schemas, Some((next, _))) => {
                let next = flag.map(|flag| format!("{next}{flag}"));
                (in_words(schemas), next.unwrap_or_else(|| line.next.clone()))
            }
            (schemas, None) => (in_words(schemas), String::new()),
        };
        vec![self.id.to_owned(), line.state.clone(), open, detail, next]
    }
}

fn in_words(schemas: &[&str]) -> String {
    match schemas {
        [one] => format!("in {one}"),
        [one, two] => format!("in {one} and {two}"),
        [one, .., last] => {
            format!("in {} schemas, {one} to {last}", grouped(schemas.len() as u64))
        }
        [] => String::new(),
    }
}

/// Reasons of the gate that are shown; `zdmig gate` has them all.
const REASONS: usize = 3;

fn in_the_way(line: &Line) -> String {
    let mut out = format!("\n{} waits for\n", line.migration);
    out.extend(line.waits_for.iter().take(REASONS).map(|reason| format!("  {reason}\n")));
    if let Some(more) = line.waits_for.len().checked_sub(REASONS).filter(|more| *more > 0) {
        out.push_str(&format!("  and {more} more: zdmig gate {}\n", line.migration));
    }
    out
}

/// For a person.
///
/// `schemas` is the flag that a command for several of them needs, where it may go over them.
pub fn render_status(report: &StatusReport, schemas: Option<&str>, pen: Pen) -> String {
    let mut out = format!("{}   {}\n\n", pen.bold(&report.database), report.server);
    if report.migrations.is_empty() {
        out.push_str("no migrations; `zdmig new NAME` makes the first\n");
    } else {
        let rows = rows(&report.migrations, schemas);
        out.push_str(&table(&["migration", "state", "open", "detail", "next"], rows));
    }
    for line in report.migrations.iter().filter(|line| !line.waits_for.is_empty()) {
        out.push_str(&in_the_way(line));
    }
    if let Some(work) = &report.at_work {
        let since = work.since.format("%Y-%m-%d %H:%M:%S UTC");
        out.push_str(&format!("\nat work: {}, since {since}\n", work.owner));
        let waits = work.waits_for.iter().map(|who| format!("  waits for {who}\n"));
        out.extend(waits);
    }
    if !report.settings.is_empty() {
        let rows = report
            .settings
            .iter()
            .map(|(name, value, origin)| vec![name.clone(), value.clone(), origin.clone()])
            .collect();
        out.push_str(&format!("\n{}", table(&["setting", "value", "from"], rows)));
    }
    out
}
