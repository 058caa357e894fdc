//! The order of a file is part of what it means. Its statements are spread over phases, so
//! one that rests on another, or takes away what another still needs, follows it into its
//! phase: nothing overtakes what it depends on.

use super::decompose::Parts;
use super::intent::{Intent, Words};
use crate::plan::Phase;

/// What the statements so far have left for later.
#[derive(Default)]
pub(super) struct Order {
    seen: Vec<Seen>,
}

struct Seen {
    number: usize,
    /// The statement's words, and the names of what it makes.
    words: Vec<Words>,
    last: Phase,
    late: Vec<(Phase, Words)>,
    frees: Vec<(Phase, Words)>,
    rows: Vec<(Phase, Words)>,
}

impl Order {
    /// Moves the steps of an intention behind what they must not overtake.
    pub(super) fn place(&mut self, intent: &Intent, parts: &mut Parts) {
        if let Some((phase, number, name)) = self.waits(intent, parts)
            && parts.steps.iter().any(|(natural, _)| *natural < phase)
        {
            for (natural, _) in &mut parts.steps {
                *natural = phase.max(*natural);
            }
            parts.hazards.push((
                "comes-late",
                format!(
                    "this waits for {phase}, because statement {number} must be done before it: \
                     both are about `{name}`"
                ),
                "put it into a migration of its own if new code needs it at its deploy".to_owned(),
            ));
            let last = last(parts);
            for name in parts.made.iter().chain(&parts.reshapes) {
                parts.late.push((last, name.clone()));
            }
            for (natural, _) in &mut parts.rows {
                *natural = phase.max(*natural);
            }
            for (natural, _) in parts.late.iter_mut().chain(&mut parts.frees) {
                *natural = phase.max(*natural);
            }
        }
        let mut words = vec![intent.words.clone()];
        words.extend(parts.made.iter().chain(&parts.uses).cloned());
        self.seen.push(Seen {
            number: intent.number,
            words,
            last: last(parts),
            late: parts.late.clone(),
            frees: parts.frees.clone(),
            rows: parts
                .rows
                .iter()
                .map(|(phase, table)| (*phase, Words::name(&[&table.name])))
                .collect(),
        });
    }

    /// The phase that an intention must wait for, the statement that makes it wait, and the
    /// name that both are about.
    fn waits(&self, intent: &Intent, parts: &Parts) -> Option<(Phase, usize, String)> {
        let mut mine = vec![&intent.words];
        mine.extend(&parts.made);
        let named = |name: &Words| mine.iter().any(|words| words.hold(name));
        let mut found: Option<(Phase, usize, String)> = None;
        let mut wait = |phase: Phase, seen: &Seen, name: &Words| {
            if found.as_ref().is_none_or(|(known, ..)| *known < phase) {
                found = Some((phase, seen.number, name.shown()));
            }
        };
        for seen in &self.seen {
            for (phase, name) in seen.late.iter().filter(|(_, name)| named(name)) {
                wait(*phase, seen, name);
            }
            let held = |name: &&Words| seen.words.iter().any(|words| words.hold(name));
            for name in parts.reshapes.iter().filter(held) {
                wait(seen.last, seen, name);
            }
            for (phase, name) in &seen.frees {
                if parts.reshapes.contains(name) {
                    wait(*phase, seen, name);
                }
            }
            if parts.minds_rows {
                for (phase, name) in seen.rows.iter().filter(|(_, name)| named(name)) {
                    wait(*phase, seen, name);
                }
            }
        }
        found.filter(|(phase, ..)| *phase > Phase::Expand)
    }
}

fn last(parts: &Parts) -> Phase {
    parts.steps.iter().map(|(phase, _)| *phase).max().unwrap_or(Phase::Expand)
}
