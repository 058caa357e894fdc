//! What can be asked of the rows before anything is done: only what no statement of the same
//! file has a hand in.

use super::PlanError;
use super::decompose::{Parts, Scene};
use super::intent::{Intent, IntentKind, Words};
use super::unsupported;
use crate::catalog::{Catalog, ConstraintKind, Table, TableKind};
use crate::change::{Computed, Effect, ObjectKind};
use crate::plan::{Action, Expr, FillRows, Pending, Premise, Verify, VerifyRule};
use crate::sql::{ColumnRef, Ident, Sql, TableName, without_literals};

/// The statements so far that change rows, or what rows are made of.
#[derive(Default)]
pub(super) struct Stirred {
    words: Vec<Words>,
    /// Columns that are renamed, replaced, retyped or dropped; all others stay as they are.
    columns: Vec<ColumnRef>,
    /// Whether one of them may have changed rows of any table.
    anything: bool,
    /// What the file makes that is not there beforehand.
    made: Vec<Words>,
    /// The functions and types among it, by the statements that make them: a question can be
    /// asked as if they were there.
    supposed: Vec<(Words, Sql)>,
    /// Whether it makes what only the server knows, an extension for one.
    unknown: bool,
}

impl Stirred {
    /// Takes note of an intention.
    pub(super) fn note(&mut self, intent: &Intent, catalog: &Catalog) {
        if let IntentKind::Plain(plain) = &intent.kind
            && matches!(plain.effect, Effect::Adds | Effect::Replaces)
        {
            for one in &plain.objects {
                let name = Words::name(&[&one.name.name]);
                match one.kind {
                    ObjectKind::Routine | ObjectKind::Type => {
                        self.supposed.push((name, Sql::new(plain.sql.as_str())));
                    }
                    _ => self.made.push(name),
                }
            }
            self.unknown |= plain.objects.iter().any(|one| one.kind == ObjectKind::Other);
        }
        let columns = reshaped(&intent.kind);
        if !columns.is_empty() {
            self.columns.extend(columns);
            return;
        }
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
            IntentKind::Plain(plain)
                if matches!(plain.effect, Effect::Moves(_) | Effect::Destroys)
                    && !plain.cascade =>
            {
                reaches_on(intent, catalog)
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
            // A query of the author's may read any table.
            let free = matches!(verify.rule, VerifyRule::Computes { .. });
            let moved = self.anything
                || free && !self.words.is_empty()
                || tables(&verify).any(|one| self.has(one));
            if moved || !asks_what_is_there(&verify, before) {
                continue;
            }
            let action = Action::Verify(verify.clone());
            let lowered = scene
                .dialect
                .lower(&action, before)
                .map_err(|error| unsupported(scene.intent.span, error))?;
            let words = Words::of(lowered.landed.sql.as_str());
            let reshaped = |one: &ColumnRef| {
                let here = free || tables(&verify).any(|table| *table == one.table);
                here && words.hold(&Words::name(&[&one.column]))
            };
            if self.columns.iter().any(reshaped) {
                continue;
            }
            let computes =
                free || matches!(verify.rule, VerifyRule::Converts(..) | VerifyRule::Holds(_));
            if computes && (self.unknown || self.made.iter().any(|name| words.hold(name))) {
                continue;
            }
            // One may rest on another, so all of them are made.
            let needs = computes && self.supposed.iter().any(|(name, _)| words.hold(name));
            let after = if needs { &self.supposed[..] } else { &[] };
            found.push(Premise {
                span: scene.intent.span,
                about,
                verify,
                after: after.iter().map(|(_, sql)| sql.clone()).collect(),
                check: lowered.landed,
                locks: lowered.locks,
                estimate: super::assemble::estimate(&action, before),
            });
        }
        Ok(found)
    }
}

/// Whether a statement that moves rows may change others than those of the tables it names.
fn reaches_on(intent: &Intent, catalog: &Catalog) -> bool {
    let named = |name: &Ident| intent.words.hold(&Words::name(&[name]));
    let says = |word: &str| named(&Ident::new(word));
    // What is only inserted, or wholly taken away, leads nowhere but by a trigger.
    let acts = ["update", "delete", "merge", "call"].into_iter().any(says);
    let leads = |table: &Table| {
        table.kind == TableKind::View
            || !table.triggers.is_empty()
            || acts && table.constraints.iter().any(|one| one.kind == ConstraintKind::Incoming)
    };
    catalog.tables.values().any(|table| named(&table.name.name) && leads(table))
        || catalog.objects.iter().any(|one| {
            matches!(one.kind.as_str(), "function" | "procedure") && named(&one.name.name)
        })
}

/// Asks whether the expressions of an UPDATE fail for no row that it means.
pub(super) fn computes(scene: &Scene<'_>, parts: &mut Parts, fill: &FillRows) {
    let condition = match &fill.pending {
        Pending::Differs => None,
        Pending::Where(condition) | Pending::Null(condition) => condition.clone(),
    };
    for one in &fill.set {
        let Expr::Verbatim(value) = &one.value else { continue };
        let text = format!("{value} {}", condition.as_ref().map_or("", Sql::as_str));
        if reads_what_is_there(scene, &fill.table, &text) {
            let about = format!("UPDATE of {}", one.column);
            let rule = VerifyRule::Converts(one.clone(), condition.clone());
            parts.premise(&about, &fill.table, rule);
        }
    }
}

/// Asks whether a query of the author's, which a later statement computes in one piece, fails.
pub(super) fn answers(scene: &Scene<'_>, parts: &mut Parts, table: &Table, what: &Computed) {
    // A function of the author's may do anything.
    let words = Words::of(&without_literals(&what.query));
    let calls = scene.catalog.objects.iter().any(|one| {
        matches!(one.kind.as_str(), "function" | "procedure")
            && words.hold(&Words::name(&[&one.name.name]))
    });
    if !calls {
        computed(scene, parts, table, &format!("what is computed for {}", table.name), what);
    }
}

/// Asks whether a query fails that calls nothing but what only computes.
pub(super) fn computed(
    scene: &Scene<'_>,
    parts: &mut Parts,
    table: &Table,
    about: &str,
    what: &Computed,
) {
    let words = Words::of(&without_literals(&what.query));
    let named = |name: &Ident| words.hold(&Words::name(&[name]));
    let new = |column: &ColumnRef| named(&column.column);
    let acts = ACTS.iter().any(|word| *word != "select" && named(&Ident::new(*word)));
    if !acts && !scene.added.iter().chain(scene.filled).any(new) {
        let given = what.columns.iter().filter(|name| {
            scene.catalog.column(table, name).is_some_and(|column| !column.nullable)
        });
        let rule = VerifyRule::Computes {
            query: Sql::new(what.query.as_str()),
            columns: what.columns.clone(),
            given: given.cloned().collect(),
        };
        parts.premise(about, &table.name, rule);
    }
}

/// What does more than compute, or gives another answer each time.
const ACTS: [&str; 12] = [
    "nextval",
    "setval",
    "random",
    "gen_random_uuid",
    "clock_timestamp",
    "pg_sleep",
    "select",
    "lo_create",
    "lo_unlink",
    "lo_import",
    "lo_from_bytea",
    "set_config",
];

/// Whether an expression can be tried beforehand: it reads no column that this file adds, and
/// calls nothing that does more than compute.
fn reads_what_is_there(scene: &Scene<'_>, table: &TableName, text: &str) -> bool {
    let words = Words::of(&without_literals(text));
    let named = |name: &Ident| words.hold(&Words::name(&[name]));
    let mut new = scene.added.iter().chain(scene.filled);
    !ACTS.into_iter().any(|word| named(&Ident::new(word)))
        && !new.any(|column| column.table == *table && named(&column.column))
        && !scene.catalog.objects.iter().any(|one| {
            matches!(one.kind.as_str(), "function" | "procedure") && named(&one.name.name)
        })
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

/// The columns of one table that an intention gives another shape, and nothing else.
fn reshaped(kind: &IntentKind) -> Vec<ColumnRef> {
    match kind {
        IntentKind::Replace(one) => {
            [&one.old, &one.new].map(|name| ColumnRef::new(&one.table, name)).to_vec()
        }
        IntentKind::DropColumn(column) => vec![column.clone()],
        IntentKind::ChangeTypes { table, columns } => {
            columns.iter().map(|one| ColumnRef::new(table, &one.new.column.column)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether rows, or columns that are there already, may be others after it.
fn stirs(kind: &IntentKind) -> bool {
    match kind {
        IntentKind::CreateTable(_)
        | IntentKind::WithinNew(_)
        | IntentKind::Nothing
        | IntentKind::AddColumn { .. }
        | IntentKind::SetNotNull { fill: None, .. }
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
