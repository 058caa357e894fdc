//! What can be asked of the rows before anything is done: only what no statement of the same
//! file has a hand in.

use super::PlanError;
use super::decompose::{Parts, Scene};
use super::intent::{Intent, IntentKind, Words};
use super::unsupported;
use crate::catalog::Catalog;
use crate::change::Effect;
use crate::plan::{Action, Premise, Verify, VerifyRule};
use crate::sql::{Ident, TableName};

/// The statements so far that change rows, or what rows are made of.
#[derive(Default)]
pub(super) struct Stirred {
    words: Vec<Words>,
}

impl Stirred {
    /// Takes note of an intention.
    pub(super) fn note(&mut self, intent: &Intent) {
        if stirs(&intent.kind) {
            self.words.push(intent.words.clone());
        }
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
            if !asks_what_is_there(&verify, before) || tables(&verify).any(|one| self.has(one)) {
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
                | Effect::Replaces
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
