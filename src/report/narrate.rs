//! An engine's events, told as they happen.

use super::wording::{counted, duration};
use super::{Pen, Reporter};
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
                let who: Vec<_> =
                    blockers.iter().map(|one| format!("\n      held by {one}")).collect();
                self.narrate(&format!(
                    "  {} {} waits for its lock since {}, and holds nothing meanwhile{}",
                    pen.warn("~"),
                    step.id.slug(),
                    duration(*waited),
                    who.concat()
                ));
            }
            Event::ChunkDone { step, walked, .. } => {
                if self.err_terminal {
                    let total = step.estimate.as_ref().map_or(0, |estimate| estimate.rows);
                    self.progress.at(*walked, total);
                }
            }
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
            Event::PhaseStarted { .. } | Event::PhaseFinished { .. } | Event::Measured { .. } => {}
            Event::StepUndone { step } => {
                self.narrate(&format!("  {} {}", pen.good("↶"), step.id.slug()));
            }
        }
    }
}
