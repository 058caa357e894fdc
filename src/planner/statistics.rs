//! Statistics of columns that a plan fills: without them queries on new columns are planned blindly.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlanError, unsupported};
use crate::catalog::Catalog;
use crate::dialect::Dialect;
use crate::migration::MigrationId;
use crate::plan::{Action, Analyze, FillRows, Phase, Step, StepId};
use crate::sql::{Ident, Span, TableName};

/// Has statistics gathered of the columns that are filled, once they are and that is proved.
pub(super) fn gather(
    steps: &mut Vec<Step>,
    migration: &MigrationId,
    catalog: &Catalog,
    dialect: &dyn Dialect,
) -> Result<(), PlanError> {
    let mut filled: BTreeMap<TableName, BTreeSet<Ident>> = BTreeMap::new();
    let mut copied = BTreeSet::new();
    for step in steps.iter().filter(|step| step.phase == Phase::Backfill) {
        let Action::Backfill(fill) = &step.action else { continue };
        if fill.deletes() {
            continue;
        }
        let columns = fill.set.iter().map(|one| one.column.clone());
        filled.entry(gets(fill).clone()).or_default().extend(columns);
        copied.extend(fill.copy.iter().map(|copy| copy.into.clone()));
    }
    for (table, mut columns) in filled {
        if copied.contains(&table) {
            columns.clear();
        }
        let of = |step: &Step| match &step.action {
            Action::Backfill(fill) => step.phase == Phase::Backfill && *gets(fill) == table,
            _ => false,
        };
        let proves = |step: &Step| match &step.action {
            Action::Verify(verify) => verify.table == table,
            _ => false,
        };
        let Some(last) = steps.iter().rposition(of) else { continue };
        let proofs = steps[last + 1..].iter().take_while(|step| proves(step)).count();
        let action = Action::Analyze(Analyze {
            table: table.clone(),
            columns: columns.into_iter().collect(),
        });
        let lowered =
            dialect.lower(&action, catalog).map_err(|error| unsupported(Span::default(), error))?;
        let id = StepId::new(migration, Phase::Backfill, &action.slug());
        let step = Step { id, phase: Phase::Backfill, action, lowered, estimate: None };
        steps.insert(last + 1 + proofs, step);
    }
    Ok(())
}

/// The table that is written.
fn gets(fill: &FillRows) -> &TableName {
    fill.copy.as_ref().map_or(&fill.table, |copy| &copy.into)
}
