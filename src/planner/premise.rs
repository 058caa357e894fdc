//! What can be asked of the rows before anything is done: only what no statement of the same
//! file has a hand in.

use super::PlanError;
use super::decompose::{Parts, Scene};
use super::intent::{Intent, IntentKind, Words};
use super::unsupported;
use crate::catalog::{Catalog, ConstraintKind, TableKind};
use crate::change::Effect;
use crate::plan::{Action, Premise, Verify, VerifyRule};
use crate::sql::{Ident, TableName};

/// The statements so far that change rows, or what rows are made of.
#[derive(Default)]
pub(super) struct Stirred {
    words: Vec<Words>,
    /// Whether one of them may have changed rows of any table.
    anything: bool,
}

impl Stirred {
    /// Takes note of an intention.
    pub(super) fn note(&mut self, intent: &Intent, catalog: &Catalog) {
        if !stirs(&intent.kind) {
            return;
        }
        self.words.push(intent.words.clone());
        // A trigger, a foreign key's action, a view or a function leads on to other tables.
        let contained = |table: &TableName| {
            catalog.find(table).is_some_and(|table| {
                let plain = table.kind == TableKind::Ordinary && table.triggers.is_empty();
                plain && table.constraints.iter().all(|one| one.kind != ConstraintKind::Incoming)
            })
        };
        self.anything |= match &intent.kind {
            IntentKind::Update(fill) | IntentKind::Backfill { fill, .. } => !contained(&fill.table),
            IntentKind::Plain(plain) if matches!(plain.effect, Effect::Seeds { .. }) => {
                plain.on.as_ref().is_none_or(|table| {
                    catalog.find(table).is_none_or(|table| !table.triggers.is_empty())
                })
            }
            IntentKind::Plain(_)
            | IntentKind::Together(_)
            | IntentKind::Expand
            | IntentKind::Contract { .. }
            | IntentKind::Opaque(_) => true,
            _ => false,
        };
    }

    fn has(&self, table: &TableName) -> bool {
        let name = Words::name(&[&table.name]);
        self.words.iter().any(|words| words.hold(&name))
    }

    /// The questions of an intention that have the same answer now as in their turn.
    pub(super) fn premises(
        &self,
        parts: &mut Parts,
        scene: &Scene<'_>,
        before: &Catalog,
    ) -> Result<Vec<Premise>, PlanError> {
        let mut found = Vec::new();
        for (about, verify) in parts.premises.drain(..) {
            let moved = self.anything || tables(&verify).any(|one| self.has(one));
            if moved || !asks_what_is_there(&verify, before) {
                continue;
            }
            let action = Action::Verify(verify.clone());
            let lowered = scene
                .dialect
                .lower(&action, before)
                .map_err(|error| unsupported(scene.intent.span, error))?;
            found.push(Premise {
                span: scene.intent.span,
                about,
                verify,
                check: lowered.landed,
                locks: lowered.locks,
                estimate: super::assemble::estimate(&action, before),
            });
        }
        Ok(found)
    }
}

fn tables(verify: &Verify) -> impl Iterator<Item = &TableName> {
    let other = match &verify.rule {
        VerifyRule::Refers { table, .. } => Some(table),
        _ => None,
    };
    std::iter::once(&verify.table).chain(other)
}

fn asks_what_is_there(verify: &Verify, before: &Catalog) -> bool {
    let there = |table: &TableName, columns: &[Ident]| {
        before.find(table).is_some_and(|table| {
            !table.vague && columns.iter().all(|one| before.column(table, one).is_some())
        })
    };
    match &verify.rule {
        VerifyRule::Distinct(columns) => there(&verify.table, columns),
        VerifyRule::NotNull(column) => there(&verify.table, std::slice::from_ref(column)),
        VerifyRule::Refers { columns, table, keys } => {
            there(&verify.table, columns) && there(table, keys)
        }
        _ => there(&verify.table, &[]),
    }
}

/// Whether rows, or columns that are there already, may be others after it.
fn stirs(kind: &IntentKind) -> bool {
    match kind {
        IntentKind::CreateTable(_)
        | IntentKind::WithinNew(_)
        | IntentKind::Nothing
        | IntentKind::AddColumn { .. }
        | IntentKind::DropNotNull(_)
        | IntentKind::SetDefault { .. }
        | IntentKind::DropDefault(_)
        | IntentKind::AddConstraint(_)
        | IntentKind::DropConstraint { .. }
        | IntentKind::CreateIndex(_)
        | IntentKind::DropIndex { .. } => false,
        IntentKind::Plain(plain) => !matches!(
            plain.effect,
            Effect::Adds
                | Effect::Settles
                | Effect::Checks
                | Effect::Tightens
                | Effect::Setting
                | Effect::Boundary
                | Effect::Nothing
        ),
        _ => true,
    }
}
