//! One change, one file. Each takes an intention and a catalogue and gives actions with
//! their phases, or says why it cannot be done here.

mod add_column;
mod create_index;
mod create_table;
mod drop_column;
mod drop_index;
mod replace_column;
mod set_not_null;
mod verbatim;

use std::collections::BTreeSet;

use super::PlanError;
use super::intent::{self, Intent, IntentKind};
use crate::catalog::{Catalog, Column, Table, TableKind};
use crate::dialect::Capabilities;
use crate::migration::Migration;
use crate::plan::{Action, Expr, Fingerprint, Phase, Target};
use crate::sql::{ColumnRef, Ident, Sql, TableName};

/// Everything a decomposition may look at.
pub(super) struct Scene<'a> {
    /// The file.
    pub(super) migration: &'a Migration,
    /// The world before this intention.
    pub(super) catalog: &'a Catalog,
    /// What the server can do.
    pub(super) can: Capabilities,
    /// What is intended.
    pub(super) intent: &'a Intent,
    /// Columns that this file fills in its backfill.
    pub(super) filled: &'a BTreeSet<ColumnRef>,
}

/// What an intention comes to.
#[derive(Default)]
pub(super) struct Parts {
    /// Actions, in order within their phase.
    pub(super) steps: Vec<(Phase, Action)>,
    /// What contract takes away.
    pub(super) targets: Vec<Target>,
    /// Hazards: code, what it means here, what to do here.
    pub(super) hazards: Vec<(&'static str, String, String)>,
    /// Columns that are made, filled or removed.
    pub(super) touches: Vec<ColumnRef>,
}

impl Parts {
    fn step(&mut self, phase: Phase, action: Action) {
        self.steps.push((phase, action));
    }

    fn hazard(&mut self, code: &'static str, message: String, remedy: &str) {
        self.hazards.push((code, message, remedy.to_owned()));
    }
}

impl Scene<'_> {
    fn table(&self, name: &TableName) -> Result<&Table, PlanError> {
        let span = self.intent.span;
        self.catalog.require(name).map_err(|source| PlanError::Unknown { span, source })
    }

    fn refused(&self, what: impl Into<String>, remedy: impl Into<String>) -> PlanError {
        PlanError::Refused { span: self.intent.span, what: what.into(), remedy: remedy.into() }
    }

    /// The statement as written.
    fn statement(&self) -> Sql {
        Sql::new(self.intent.span.of(&self.migration.source))
    }

    /// A name of ours that is the same at every run and differs between migrations.
    fn tag(&self, object: &str) -> String {
        Fingerprint::of(&(&self.migration.id, object)).short().to_owned()
    }

    /// A working name of ours.
    fn working(&self, object: &str) -> Ident {
        Ident::new(format!("zdmig_{}", self.tag(object)))
    }

    /// The columns that a fill walks along.
    fn key(&self, table: &Table) -> Result<Vec<(Ident, String)>, PlanError> {
        if table.key.is_empty() {
            return Err(self.refused(
                format!(
                    "table `{}` has no primary key, so its rows cannot be filled in chunks",
                    table.name
                ),
                "give it a primary key first; a table without one is filled only by \
                 `-- zdmig:backfill table=… key=…` along a unique column",
            ));
        }
        let type_of = |name: &Ident| {
            table
                .columns
                .iter()
                .find(|column| column.name == *name)
                .map(|column| column.type_name.clone())
                .unwrap_or_default()
        };
        Ok(table.key.iter().map(|name| (name.clone(), type_of(name))).collect())
    }

    /// Refuses tables whose shape a column change does not fit.
    fn plain_table(&self, table: &Table) -> Result<(), PlanError> {
        if table.kind == TableKind::Partitioned {
            return Err(self.refused(
                format!("table `{}` is partitioned or inherits; its columns cannot be replaced or filled yet", table.name),
                "write the phases yourself under `-- zdmig:expand`, `-- zdmig:backfill` and \
                 `-- zdmig:contract`",
            ));
        }
        self.nothing_retired(table)
    }

    /// A trigger that runs before the row is stored sees no value in a generated column.
    fn computable(&self, table: &Table, value: &Expr) -> Result<(), PlanError> {
        let named = |column: &&Column| match value {
            Expr::Column(name) => *name == column.name,
            Expr::Verbatim(sql) => intent::mentions(sql.as_str(), column.name.as_str()),
        };
        let generated =
            |column: &&Column| column.peculiar.iter().any(|why| why.contains("generated column"));
        match table.columns.iter().filter(generated).find(named) {
            Some(column) => Err(self.refused(
                format!(
                    "the expression reads `{}.{}`, a generated column, which a trigger sees empty",
                    table.name, column.name
                ),
                "write the generated column's own expression in its place",
            )),
            None => Ok(()),
        }
    }

    /// While a column is retired by its privileges, a new one would have none.
    fn nothing_retired(&self, table: &Table) -> Result<(), PlanError> {
        match table.retired.first() {
            Some(column) => Err(self.refused(
                format!("`{}.{column}` is retired and not yet purged: a new column would lack the privileges that the table lost for it", table.name),
                "run `zdmig purge` or `zdmig restore` for the migration that retired it first",
            )),
            None => Ok(()),
        }
    }
}

/// Takes one intention apart.
pub(super) fn decompose(scene: &Scene<'_>) -> Result<Parts, PlanError> {
    match &scene.intent.kind {
        IntentKind::CreateTable { table, references } => {
            Ok(create_table::decompose(scene, table, references))
        }
        IntentKind::WithinNew => Ok(verbatim::within_new(scene)),
        IntentKind::AddColumn { table, column, fill } => {
            add_column::decompose(scene, table, column, fill.as_ref())
        }
        IntentKind::Replace(replace) => replace_column::decompose(scene, replace),
        IntentKind::DropColumn(column) => drop_column::decompose(scene, column),
        IntentKind::SetNotNull { column, fill } => {
            set_not_null::decompose(scene, column, fill.as_ref())
        }
        IntentKind::CreateIndex(index) => create_index::decompose(scene, index),
        IntentKind::DropIndex { table, index } => drop_index::decompose(scene, table, index),
        IntentKind::Expand => Ok(verbatim::expand(scene)),
        IntentKind::Backfill { fill, key } => verbatim::backfill(scene, fill, key.as_ref()),
        IntentKind::Contract { uses } => Ok(verbatim::contract(scene, uses)),
        IntentKind::Opaque(why) => Ok(verbatim::opaque(scene, why)),
    }
}
