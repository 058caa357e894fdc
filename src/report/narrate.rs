//! An engine's events, told as they happen.

use super::wording::{counted, duration};
use super::{Pen, Reporter};
use crate::dialect::{Blocker, Doing};
use crate::engine::Event;

impl Reporter {
    /// Tells an event.
    pub fn event(&mut self, event: &Event<'_>) {
        let pen = Pen { color: self.err_color };
        match event {
            Event::StepStarted { step, resumed } => {
                if *resumed {
                    self.narrate(&format!("  … {} (goes on where it was)", step.id.slug()));
                } else if self.verbose {
                    self.narrate(&format!("  … {}", step.id.slug()));
                }
            }
            Event::Premised { premise, took } => {
                let table = &premise.verify.table;
                self.narrate(&format!(
                    "  {} rows of {table} fit {} ({})",
                    pen.good("✓"),
                    premise.about,
                    duration(*took)
                ));
            }
            Event::StepSkipped { step } => {
                if self.verbose {
                    self.narrate(&format!("  - {} was done before", step.id.slug()));
                }
            }
            Event::LockWaiting { step, waited, blockers } => {
                let (mark, slug, since) = (pen.warn("~"), step.id.slug(), duration(*waited));
                self.narrate(&format!(
                    "  {mark} {slug} waits for its lock since {since}, and holds nothing meanwhile{}",
                    listed("held by", blockers)
                ));
            }
            Event::ChunkDone { step, walked, .. } => {
                if self.err_terminal {
                    let total = step.estimate.as_ref().map_or(0, |estimate| estimate.rows);
                    self.progress.at(*walked, total);
                }
            }
            Event::Doing { step, doing } => self.doing(step.id.slug(), doing),
            Event::Turned { step, why } => {
                self.narrate(&format!("  ~ {}: {why}", step.id.slug()));
            }
            Event::Eased { step, ease, by } => {
                self.progress.says(by.unwrap_or_default());
                let slug = step.id.slug();
                self.narrate(&match by {
                    Some(by) if *ease <= 0.0 => format!("  {} {slug} waits: {by}", pen.warn("~")),
                    Some(by) => format!("  {} {slug} goes slower: {by}", pen.warn("~")),
                    None => format!("  ~ {slug} goes on at its pace"),
                });
            }
            Event::Noticed { what, .. } => {
                if self.noticed.insert((*what).to_owned()) {
                    self.warn(what);
                }
            }
            Event::Proved { step, seen } => {
                if self.verbose {
                    let (slug, rows) = (step.id.slug(), counted(*seen, "row"));
                    self.narrate(&format!("  … {slug}: {rows} looked at, none breaks it"));
                }
            }
            Event::Repairing { step, mended } => {
                let rows = counted(*mended, "row");
                self.narrate(&format!(
                    "  ~ {} found {rows} and filled them; it looks again",
                    step.id.slug()
                ));
            }
            Event::StepFinished { step, rows, took } => {
                self.progress.clear();
                if matches!(step.action, crate::plan::Action::Backfill(_)) {
                    self.filled = Some((*rows, *took));
                }
                let rows = match rows {
                    0 => String::new(),
                    n => format!(", {}", counted(*n, "row")),
                };
                let slug = step.id.slug();
                let mark = pen.good("✓");
                self.narrate(&format!("  {mark} {slug} ({}{rows})", duration(*took)));
            }
            Event::PhaseStarted { .. }
            | Event::PhaseFinished { .. }
            | Event::Looked { .. }
            | Event::Measured { .. } => {}
            Event::StepUndone { step } => {
                self.narrate(&format!("  {} {}", pen.good("↶"), step.id.slug()));
            }
        }
    }

    /// A statement that takes long: a line for whatever it is at, and whom it waits for.
    fn doing(&mut self, slug: &str, doing: &Doing) {
        if self.err_terminal {
            self.progress.part(slug, &doing.what, doing.done, doing.total);
        }
        let waits = !doing.blockers.is_empty();
        let said = format!("{slug}: {}{}", doing.what, if waits { " (waits)" } else { "" });
        if self.doing.as_deref() == Some(&said) {
            return;
        }
        if waits || self.verbose || !self.err_terminal {
            let who = listed("waits for", &doing.blockers);
            self.narrate(&format!("  … {slug}: {}{who}", doing.what));
        }
        self.doing = Some(said);
    }
}

/// Each on a line of its own.
fn listed(how: &str, blockers: &[Blocker]) -> String {
    let lines: Vec<_> = blockers.iter().map(|one| format!("\n      {how} {one}")).collect();
    lines.concat()
}
