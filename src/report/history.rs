use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Pen, and_rows, counted, duration, table};
use crate::journal::{Entry, EntryKind};

/// What was done, the oldest first.
#[derive(Debug, Serialize)]
pub struct History {
    /// The version of this format.
    pub zdmig_history: u32,
    /// A line for each thing that was done.
    pub lines: Vec<HistoryLine>,
    /// Lines that were left out, the oldest.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One thing that was done.
#[derive(Debug, Serialize)]
pub struct HistoryLine {
    /// When it began, by the database's clock.
    pub at: DateTime<Utc>,
    /// When it ended, where several entries are one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// The migration.
    pub migration: String,
    /// The step, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What was done.
    pub what: String,
    /// The user of the machine.
    pub who: String,
    /// The machine.
    pub host: String,
    /// The version of zdmig.
    pub version: String,
    /// Whether steps are counted into this line, and how.
    #[serde(skip)]
    tally: Option<Tally>,
}

/// Steps of one run that are one line.
#[derive(Debug)]
struct Tally {
    /// The phase, or that it was taken back.
    doing: String,
    /// Who wrote it, process and all.
    by: String,
    steps: u64,
    rows: u64,
}

/// `user@host zdmig/1.2.3 pid 42`, taken apart.
fn author(by: &str) -> (String, String, String) {
    let mut words = by.split(' ');
    let (who, host) = words.next().unwrap_or_default().split_once('@').unwrap_or((by, ""));
    let version = words.next().unwrap_or_default().trim_start_matches("zdmig/");
    (who.to_owned(), host.to_owned(), version.to_owned())
}

impl History {
    /// Entries as lines: the steps of one run of a phase are one, where not each is wanted.
    pub fn of<'a>(entries: impl Iterator<Item = &'a Entry>, each: bool) -> Self {
        let mut history = Self { zdmig_history: 1, lines: Vec::new(), left_out: 0 };
        for entry in entries {
            history.take(entry, each);
        }
        history
    }

    /// Keeps the last so many lines.
    pub fn keep(&mut self, last: usize) {
        self.left_out = self.lines.len().saturating_sub(last);
        self.lines.drain(..self.left_out);
    }

    fn take(&mut self, entry: &Entry, each: bool) {
        let phase = entry.step.as_str().split('/').nth(1).unwrap_or_default();
        let slug = entry.step.slug();
        let (what, tally) = match &entry.kind {
            EntryKind::Planned { plan } => (format!("planned: {}", plan.fingerprint.short()), None),
            EntryKind::Started | EntryKind::UndoStarted if !each => return,
            EntryKind::Started => (format!("{phase}: began {slug}"), None),
            EntryKind::UndoStarted => (format!("{phase}: began to take {slug} back"), None),
            EntryKind::Finished { rows } => (phase.to_owned(), Some(*rows)),
            EntryKind::Undone => (format!("took back {phase}"), Some(0)),
            EntryKind::Failed { message } => {
                let message = message.lines().next().unwrap_or_default();
                (format!("{phase}: failed: {slug}: {message}"), None)
            }
            EntryKind::Permitted { overruled: None, .. } => {
                (format!("the gate passed for {phase}"), None)
            }
            EntryKind::Permitted { overruled: Some(one), .. } => {
                (format!("overruled the gate for {phase}: {} ({})", one.reason, one.ticket), None)
            }
            EntryKind::BrownOut { seconds, refused } => {
                let time = duration(std::time::Duration::from_secs(*seconds));
                let how = if refused.is_empty() { "passed" } else { "tripped" };
                (format!("brownout of {time}: {how}"), None)
            }
            EntryKind::RolledBack if phase == "adopted" => {
                ("not held for run any longer".to_owned(), None)
            }
            EntryKind::RolledBack => ("rolled back".to_owned(), None),
            EntryKind::Adopted { from, .. } => (format!("held for run: {from}"), None),
        };
        let Some(rows) = tally else { return self.push(entry, what, None) };
        if each {
            return self.push(entry, format!("{what}: {slug}{}", and_rows(rows)), None);
        }
        let of = entry.step.migration_prefix().trim_end_matches('/');
        if let Some(line) = self.lines.last_mut()
            && let Some(tally) = line.tally.as_mut()
            && line.migration == of
            && tally.doing == what
            && tally.by == entry.by
        {
            tally.steps += 1;
            tally.rows += rows;
            line.until = Some(entry.at);
            line.what = tally.said();
            return;
        }
        let tally = Tally { doing: what, by: entry.by.clone(), steps: 1, rows };
        self.push(entry, tally.said(), Some(tally));
    }

    fn push(&mut self, entry: &Entry, what: String, tally: Option<Tally>) {
        let (who, host, version) = author(&entry.by);
        let whole = ["plan", "adopted"];
        let mut parts = entry.step.as_str().splitn(3, '/').skip(1);
        let step = parts.next().filter(|part| !whole.contains(part)).and(parts.next());
        self.lines.push(HistoryLine {
            at: entry.at,
            until: None,
            migration: entry.step.migration_prefix().trim_end_matches('/').to_owned(),
            step: step.filter(|_| tally.is_none()).map(|_| entry.step.to_string()),
            what,
            who,
            host,
            version,
            tally,
        });
    }
}

impl Tally {
    fn said(&self) -> String {
        format!("{}: {}{}", self.doing, counted(self.steps, "step"), and_rows(self.rows))
    }
}

/// For a person.
pub fn render_history(history: &History, pen: Pen) -> String {
    if history.lines.is_empty() {
        return "nothing was done here yet\n".to_owned();
    }
    let row = |line: &HistoryLine| {
        let at = line.at.format("%Y-%m-%d %H:%M:%S").to_string();
        let author = format!("{}@{}", line.who, line.host);
        vec![at, author, line.version.clone(), line.migration.clone(), line.what.clone()]
    };
    let rows = history.lines.iter().map(row).collect();
    let mut out = match history.left_out {
        0 => String::new(),
        count => {
            pen.dim(&format!("{} before these: --last COUNT\n", counted(count as u64, "line")))
        }
    };
    out.push_str(&table(&["when (UTC)", "who", "zdmig", "migration", "what"], rows));
    out
}
