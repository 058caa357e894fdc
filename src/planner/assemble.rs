//! From intentions to a plan: each is taken apart, put into the product's words, and named.

use std::collections::{BTreeMap, BTreeSet};

use super::copied::Copied;
use super::decompose::{self, Parts, Scene};
use super::intent::{Intent, IntentKind, Words};
use super::order::Order;
use super::premise::Stirred;
use super::renamed::{by_old_names, names_lost};
use super::{PlanError, statistics, unsupported};
use crate::catalog::{Catalog, Table};
use crate::change::Effect;
use crate::dialect::Dialect;
use crate::migration::Migration;
use crate::plan::{
    Action, Blocks, Estimate, FORMAT, Fingerprint, Hazard, Held, Lock, Lowered, Phase, Plan,
    Premise, Requirement, Step, StepId, Target, Undo,
};
use crate::sql::{ColumnRef, Span, Sql, TableName};

/// Rows a second that a step gets through, for the estimates. Measured on two cores with
/// narrow rows; a person reads them as an order of magnitude.
const FILL_ROWS: u64 = 50_000;
const SCAN_ROWS: u64 = 2_000_000;
const INDEX_ROWS: u64 = 500_000;

/// Makes the plan.
pub(super) fn assemble(
    migration: &Migration,
    intents: &[Intent],
    catalog: &Catalog,
    dialect: &dyn Dialect,
) -> Result<(Plan, Catalog), PlanError> {
    let can = dialect.capabilities(&catalog.server);
    let mut world = catalog.clone();
    let mut draft = Draft::default();
    let filled = intents.iter().flat_map(|intent| filled_columns(intent, catalog)).collect();
    let added = intents.iter().flat_map(added_columns).collect();
    let mut retyped = BTreeMap::new();
    let mut emptied = BTreeSet::new();
    let goes = intents.iter().flat_map(gone_columns).collect();
    let mut order = Order::default();
    let mut stirred = Stirred::default();
    let mut copied = Copied::default();
    for intent in intents {
        let scene = Scene {
            migration,
            catalog: &world,
            before: catalog,
            can,
            intent,
            filled: &filled,
            added: &added,
            emptied: &emptied,
            goes: &goes,
            retyped: &retyped,
            dialect,
        };
        let mut parts = taken_apart(&scene, &order)?;
        copied.warn(intent, &mut parts);
        fires_triggers(&mut parts, &world);
        copied.note(intent);
        let lowered = lowered(&mut parts, &scene)?;
        draft.premises.extend(stirred.premises(&mut parts, &scene, catalog)?);
        stirred.note(intent, &world);
        order.place(intent, &mut parts);
        let hidden = std::mem::take(&mut parts.retyped);
        let begun = draft.steps.len();
        draft.take(parts, lowered, &scene);
        retyped.extend(hidden);
        note_emptied(&mut emptied, intent);
        for change in &intent.changes {
            let unknown = |source| PlanError::Unknown { span: intent.span, source };
            world.make(change).map_err(unknown)?;
        }
        for step in &mut draft.steps[begun..] {
            note_dear_undo(&mut step.lowered, &world, dialect);
        }
    }
    if migration.statements.is_empty() {
        draft.hazards.push(Hazard {
            code: "empty-file".into(),
            span: Span::default(),
            message: "the file has no statement yet".into(),
            remedy: "write the SQL into it, or remove it".into(),
            allowed: migration.allows("empty-file").map(ToOwned::to_owned),
        });
    }
    let mut expects = BTreeMap::new();
    let tables = draft.tables.iter().filter_map(|name| catalog.tables.get(name));
    expects.insert(Phase::Expand, table_fingerprint(tables));
    draft.steps.sort_by_key(|step| step.phase);
    by_old_names(&mut draft.steps, &draft.numbers);
    if can.column_statistics {
        statistics::gather(&mut draft.steps, &migration.id, catalog, dialect)?;
    }
    let plan = Plan {
        zdmig_plan: FORMAT,
        migration: migration.id.clone(),
        checksum: migration.checksum.clone(),
        product: dialect.product().to_owned(),
        fingerprint: Fingerprint::stored(""),
        expects,
        premises: draft.premises,
        steps: draft.steps,
        requirement: Requirement { targets: draft.targets },
        hazards: draft.hazards,
        touches: draft.touches.into_iter().collect(),
        reads: draft.reads.into_iter().collect(),
    };
    Ok((plan.sealed(), world))
}

/// The tables that the file has emptied so far.
fn note_emptied(emptied: &mut BTreeSet<TableName>, intent: &Intent) {
    match &intent.kind {
        IntentKind::Update(fill) if fill.deletes_all() => {
            emptied.insert(fill.table.clone());
        }
        IntentKind::Plain(plain)
            if matches!(plain.effect, Effect::Moves(_) | Effect::Seeds { .. }) =>
        {
            let named = |table: &TableName| intent.words.hold(&Words::name(&[&table.name]));
            emptied.retain(|table| !named(table));
        }
        _ => {}
    }
}

/// Takes an intention apart in the world that it will meet.
fn taken_apart(scene: &Scene<'_>, order: &Order) -> Result<Parts, PlanError> {
    let parts = decompose::decompose(scene)?;
    if parts.retyped.is_empty() || !order.delays(scene.intent, &parts) {
        return Ok(parts);
    }
    // By then the hidden columns of earlier statements have taken their places.
    let retyped = &BTreeMap::new();
    decompose::decompose(&Scene { retyped, ..*scene })
}

/// Says so where taking a step back makes others wait for longer than an instant.
fn note_dear_undo(lowered: &mut Lowered, after: &Catalog, dialect: &dyn Dialect) {
    let Undo::Run(undo) = &lowered.undo else { return };
    let mut dear = dialect.locks(undo, after);
    dear.retain(|lock| lock.blocks >= Blocks::Writes && lock.held != Held::Instant);
    for alike in dear.chunk_by(|a, b| (&a.mode, a.held) == (&b.mode, b.held)) {
        let objects: Vec<_> = alike.iter().map(|lock| lock.object.as_str()).collect();
        let Lock { mode, blocks, held, .. } = &alike[0];
        let words = format!(
            "its undo: {mode} on {}, {} {}",
            objects.join(", "),
            blocks.words(),
            held.words()
        );
        lowered.note = Some(match lowered.note.take() {
            Some(note) => format!("{note}; {words}"),
            None => words,
        });
    }
}

/// Says so where a fill sets off triggers of the user's.
fn fires_triggers(parts: &mut Parts, world: &Catalog) {
    let fill = parts.steps.iter().find_map(|(_, action)| match action {
        // Rows are not copied in chunks into a table with triggers for them.
        Action::Backfill(fill) if fill.copy.is_none() => Some(fill),
        _ => None,
    });
    let Some((fill, table)) = fill.and_then(|fill| Some((fill, world.find(&fill.table)?))) else {
        return;
    };
    let event = if fill.deletes() { "DELETE" } else { "UPDATE" };
    let fires = |one: &&crate::catalog::Trigger| {
        one.definition.contains(event) && one.definition.contains("FOR EACH ROW")
    };
    let names: Vec<_> =
        table.triggers.iter().filter(fires).map(|one| format!("`{}`", one.name)).collect();
    if !names.is_empty() {
        parts.hazards.push((
            "fires-triggers",
            format!("{} of `{}` fires for each row of the fill", names.join(", "), table.name),
            "let it do nothing while `current_setting('zdmig.backfill', true)` holds something, \
             where the fill is no change to it"
                .to_owned(),
        ));
    }
}

/// Puts the steps into words. What cannot be taken back has no place in contract, which can
/// be restored: it waits for purge.
fn lowered(parts: &mut Parts, scene: &Scene<'_>) -> Result<Vec<Lowered>, PlanError> {
    let mut found = Vec::new();
    let own = !matches!(scene.intent.kind, IntentKind::Contract { .. });
    for (phase, action) in &mut parts.steps {
        let mut lowered = scene
            .dialect
            .lower(action, scene.catalog)
            .map_err(|error| unsupported(scene.intent.span, error))?;
        let lost = match (&*action, &lowered.undo) {
            (_, Undo::Impossible) => true,
            (Action::Verbatim(_), Undo::Run(undo)) => names_lost(undo, scene.before, scene.catalog),
            _ => false,
        };
        if *phase == Phase::Contract && own && lost {
            *phase = Phase::Purge;
        }
        if *phase == Phase::Purge {
            lowered.undo = Undo::Impossible;
        }
        parts.recalled.extend(lowered.undo.statements().map(Sql::as_str));
        found.push(lowered);
    }
    let last = parts.steps.iter().map(|(phase, _)| *phase).max();
    if last == Some(Phase::Purge) && parts.settled.is_none() {
        for (phase, _) in parts.late.iter_mut().chain(&mut parts.frees) {
            *phase = if *phase == Phase::Contract { Phase::Purge } else { *phase };
        }
    }
    Ok(found)
}

/// What tables look like, sizes apart: a plan is stale when this has changed.
pub fn table_fingerprint<'a>(tables: impl Iterator<Item = &'a Table>) -> Fingerprint {
    let bare: Vec<_> = tables.map(|table| Table { rows: 0, bytes: 0, ..table.clone() }).collect();
    Fingerprint::of(&bare)
}

/// The columns that an intention fills: an index on one is built once it is filled.
fn filled_columns(intent: &Intent, catalog: &Catalog) -> Vec<ColumnRef> {
    match &intent.kind {
        IntentKind::Replace(replace) => vec![ColumnRef::new(&replace.table, &replace.new)],
        IntentKind::AddColumn { table, column, fill: None } if column.counter.is_some() => {
            let full = catalog.find(table).is_some_and(|table| !table.is_empty());
            if full { vec![ColumnRef::new(table, &column.name)] } else { Vec::new() }
        }
        IntentKind::AddColumn { fill: None, .. } => Vec::new(),
        _ => added_columns(intent),
    }
}

/// The columns that an intention takes away.
fn gone_columns(intent: &Intent) -> Vec<ColumnRef> {
    match &intent.kind {
        IntentKind::DropColumn(column) => vec![column.clone()],
        IntentKind::Replace(replace) => vec![ColumnRef::new(&replace.table, &replace.old)],
        IntentKind::Derive(all) => all
            .iter()
            .flat_map(|one| one.olds.iter().map(|name| ColumnRef::new(&one.table, name)))
            .collect(),
        _ => Vec::new(),
    }
}

/// The columns that an intention adds.
fn added_columns(intent: &Intent) -> Vec<ColumnRef> {
    match &intent.kind {
        IntentKind::AddColumn { table, column, .. } => vec![ColumnRef::new(table, &column.name)],
        IntentKind::Derive(all) => all
            .iter()
            .flat_map(|one| one.columns.iter().map(|it| ColumnRef::new(&one.table, &it.name)))
            .collect(),
        _ => Vec::new(),
    }
}

#[derive(Default)]
struct Draft {
    premises: Vec<Premise>,
    steps: Vec<Step>,
    /// The statement that each step is from.
    numbers: BTreeMap<StepId, usize>,
    targets: Vec<Target>,
    hazards: Vec<Hazard>,
    touches: BTreeSet<ColumnRef>,
    reads: BTreeSet<ColumnRef>,
    tables: BTreeSet<TableName>,
}

impl Draft {
    fn take(&mut self, parts: Parts, lowered: Vec<Lowered>, scene: &Scene<'_>) {
        let span = scene.intent.span;
        for ((phase, action), lowered) in parts.steps.into_iter().zip(lowered) {
            let estimate = estimate(&action, scene.catalog);
            let Some(id) = self.identity(scene, phase, &action) else { continue };
            self.numbers.insert(id.clone(), scene.intent.number);
            self.steps.push(Step { id, phase, action, lowered, estimate });
        }
        for (code, message, remedy) in parts.hazards {
            self.hazards.push(Hazard {
                allowed: scene.migration.allows(code).map(ToOwned::to_owned),
                code: code.to_owned(),
                span,
                message,
                remedy,
            });
        }
        for target in parts.targets {
            if !self.targets.contains(&target) {
                self.targets.push(target);
            }
        }
        self.tables.extend(parts.touches.iter().map(|column| column.table.clone()));
        self.touches.extend(parts.touches);
        self.reads.extend(parts.reads);
    }
}

impl Draft {
    /// A step's id; `None` where an earlier statement came to the same step, and once is
    /// enough.
    fn identity(&self, scene: &Scene<'_>, phase: Phase, action: &Action) -> Option<StepId> {
        let slug = action.slug();
        let id = StepId::new(&scene.migration.id, phase, &slug);
        let Some(same) = self.steps.iter().find(|step| step.id == id) else { return Some(id) };
        let once = matches!(action, Action::DropNotNull(_) | Action::Verify(_));
        if once && same.action == *action {
            return None;
        }
        let numbered =
            |number: u32| StepId::new(&scene.migration.id, phase, &format!("{slug}-{number}"));
        (2..=u32::MAX).map(numbered).find(|id| self.steps.iter().all(|step| step.id != *id))
    }
}

/// How much an action has to do, as far as that can be told.
pub(super) fn estimate(action: &Action, catalog: &Catalog) -> Option<Estimate> {
    let (table, per_second, what) = match action {
        Action::Backfill(fill) => (&fill.table, FILL_ROWS, "filled"),
        Action::Verify(verify) => (&verify.table, SCAN_ROWS, "read"),
        Action::ValidateNotNull(check) => (&check.column.table, SCAN_ROWS, "read"),
        Action::ValidateConstraint(one) => (&one.table, SCAN_ROWS, "read"),
        Action::BuildIndex(index) => (&index.table, INDEX_ROWS, "indexed"),
        _ => return None,
    };
    let table = catalog.find(table)?;
    Some(Estimate {
        rows: table.rows,
        bytes: table.bytes,
        seconds: Some(table.rows / per_second),
        basis: format!("at {per_second} rows {what} a second"),
    })
}
