//! The order of a file is part of what it means. Its statements are spread over phases, so
//! one that rests on another, or takes away what another still needs, follows it into its
//! phase: nothing overtakes what it depends on.

use super::decompose::{Aspect, Parts};
use super::intent::{Intent, IntentKind, Words};
use crate::change::Fill;
use crate::plan::Phase;
use crate::sql::{ColumnRef, Ident, TableName, mentions};

/// What the statements so far have left for later.
#[derive(Default)]
pub(super) struct Order {
    seen: Vec<Seen>,
}

struct Seen {
    number: usize,
    /// The statement's words.
    text: Words,
    /// The names of what it makes, changes and holds on to.
    names: Vec<Words>,
    /// What it changes, done once its last phase has run.
    reshapes: Vec<(Aspect, Words)>,
    last: Phase,
    late: Vec<(Phase, Words)>,
    frees: Vec<(Phase, Words)>,
    permits: Vec<ColumnRef>,
    rows: Vec<(Phase, Words)>,
    /// Whether it gives columns another type. Two that do know of each other.
    retypes: bool,
    /// The name that it gives to a type, where it does.
    title: Option<Ident>,
    /// The phase into which all of it had to wait.
    delayed: Option<Phase>,
    converts: Vec<TableName>,
    shifts: Vec<TableName>,
}

impl Order {
    /// Moves the steps of an intention behind what they must not overtake.
    pub(super) fn place(&mut self, intent: &Intent, parts: &mut Parts) {
        let waits = self
            .waits(intent, parts)
            .filter(|(phase, ..)| parts.steps.iter().any(|(natural, _)| natural < phase));
        let delayed = waits.as_ref().map(|(phase, ..)| *phase);
        if let Some((phase, number, name)) = waits {
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
            parts.settled = parts.settled.map(|settled| settled.max(phase));
            let last = last(parts);
            let whole = parts.reshapes.iter().filter(|(aspect, _)| *aspect == Aspect::Whole);
            for name in parts.made.iter().chain(whole.map(|(_, name)| name)) {
                parts.late.push((last, name.clone()));
            }
            for (natural, _) in &mut parts.rows {
                *natural = phase.max(*natural);
            }
            for (natural, _) in parts.late.iter_mut().chain(&mut parts.frees) {
                *natural = phase.max(*natural);
            }
        }
        let reshaped = parts.reshapes.iter().map(|(_, name)| name);
        let names = parts.made.iter().chain(&parts.uses).chain(reshaped);
        self.seen.push(Seen {
            number: intent.number,
            text: intent.words.clone(),
            names: names.cloned().chain(touched(parts)).collect(),
            reshapes: parts.reshapes.clone(),
            last: last(parts),
            retypes: !parts.retyped.is_empty(),
            title: title(intent),
            delayed,
            converts: parts.converts.clone(),
            shifts: parts.shifts.clone(),
            late: parts.late.clone(),
            frees: parts.frees.clone(),
            permits: parts.permits.clone(),
            rows: parts
                .rows
                .iter()
                .map(|(phase, table)| (*phase, Words::name(&[&table.name])))
                .collect(),
        });
    }

    /// Whether all of an intention must wait for a later phase than its own.
    pub(super) fn delays(&self, intent: &Intent, parts: &Parts) -> bool {
        let waits = self.waits(intent, parts);
        waits.is_some_and(|(phase, ..)| parts.steps.iter().any(|(natural, _)| *natural < phase))
    }

    /// The phase that an intention must wait for, the statement that makes it wait, and the
    /// name that both are about.
    fn waits(&self, intent: &Intent, parts: &Parts) -> Option<(Phase, usize, String)> {
        let touched: Vec<Words> = touched(parts);
        let reshaped = parts.reshapes.iter().map(|(_, name)| name);
        let made = parts.made.iter().chain(&parts.meant);
        let own: Vec<&Words> = made.chain(reshaped).chain(&touched).collect();
        let mut found: Option<(Phase, usize, String)> = None;
        let mut wait = |phase: Phase, seen: &Seen, name: &Words| {
            if found.as_ref().is_none_or(|(known, ..)| *known < phase) {
                found = Some((phase, seen.number, name.shown()));
            }
        };
        let retypes = !parts.retyped.is_empty();
        for seen in &self.seen {
            if retypes && seen.retypes {
                // What rests on a hidden column that is not there yet.
                let shared = touched.iter().find(|name| seen.names.contains(name));
                if let Some((phase, name)) = seen.delayed.zip(shared) {
                    wait(phase, seen, name);
                }
                continue;
            }
            // Actions of one statement share its words, and mean only their own.
            let alone = seen.number == intent.number;
            let named = |name: &Words| {
                !alone && intent.words.hold(name) || own.iter().any(|one| one.hold(name))
            };
            let mentioned = |name: &Words| {
                !alone && seen.text.hold(name) || seen.names.iter().any(|one| one.hold(name))
            };
            for (phase, name) in seen.late.iter().filter(|(_, name)| named(name)) {
                wait(*phase, seen, name);
            }
            // What was taken from the catalogue names the type as it is called from then on.
            if let Some(title) = &seen.title
                && (mentions(&parts.recalled, title.as_str())
                    || parts
                        .steps
                        .iter()
                        .any(|(_, one)| mentions(&format!("{one:?}"), title.as_str())))
            {
                wait(seen.last, seen, &Words::name(&[title]));
            }
            for (aspect, name) in &parts.reshapes {
                let met = |(other, one): &(Aspect, Words)| one == name && other.meets(*aspect);
                if *aspect == Aspect::Whole && mentioned(name) || seen.reshapes.iter().any(met) {
                    wait(seen.last, seen, name);
                }
                let freed = |(_, one): &&(Phase, Words)| one == name;
                if let Some((phase, _)) = seen.frees.iter().find(freed)
                    && matches!(
                        aspect,
                        Aspect::Whole | Aspect::Type | Aspect::Default | Aspect::Null
                    )
                {
                    wait(*phase, seen, name);
                }
            }
            for (_, table) in &parts.rows {
                let shifted = parts.by_place && seen.shifts.contains(table);
                if shifted || seen.converts.contains(table) {
                    wait(seen.last, seen, &Words::name(&[&table.name]));
                }
            }
            for column in seen.permits.iter().filter(|one| writes(intent, parts, one)) {
                wait(Phase::Purge, seen, &Words::name(&[&column.table.name, &column.column]));
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

/// The new name of a type, where an intention gives it one.
fn title(intent: &Intent) -> Option<Ident> {
    match &intent.kind {
        IntentKind::Plain(plain) => plain.retitles().map(|(_, to)| to.clone()),
        _ => None,
    }
}

/// Whether an intention writes into a column.
fn writes(intent: &Intent, parts: &Parts, column: &ColumnRef) -> bool {
    let here = parts.rows.iter().any(|(_, table)| *table == column.table);
    let set = |fill: &Fill| fill.set.iter().any(|(name, _)| *name == column.column);
    match &intent.kind {
        IntentKind::Update(fill) | IntentKind::Backfill { fill, .. } => here && set(fill),
        IntentKind::SetNotNull { column: one, fill: Some(_) } => one == column,
        _ => here,
    }
}

/// The columns that an intention is about.
fn touched(parts: &Parts) -> Vec<Words> {
    let name = |column: &ColumnRef| Words::name(&[&column.table.name, &column.column]);
    parts.touches.iter().map(name).collect()
}

fn last(parts: &Parts) -> Phase {
    let last = parts.steps.iter().map(|(phase, _)| *phase).max();
    parts.settled.or(last).unwrap_or(Phase::Expand)
}
