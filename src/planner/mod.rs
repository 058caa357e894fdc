//! Floor 6: a migration and a catalogue in, a plan out. Pure: no clock, no I/O.

mod advice;
mod assemble;
mod copied;
mod decompose;
mod intent;
mod order;
mod premise;
mod renamed;
mod statistics;

use thiserror::Error;

use crate::catalog::{Catalog, Table};
use crate::change::{ChangeKind, EvolveError};
use crate::dialect::{Dialect, Unsupported};
use crate::migration::{Migration, MigrationId};
use crate::plan::{Plan, Walk};
use crate::sql::{ColumnRef, Span};

pub use advice::advice;
pub use assemble::table_fingerprint;

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A change cannot be made without downtime, or not by us yet.
    #[error("{what}")]
    Refused {
        /// The statement.
        span: Span,
        /// What cannot be done, and why.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// A statement names something that is not there.
    #[error("{source}")]
    Unknown {
        /// The statement.
        span: Span,
        /// What is missing.
        source: EvolveError,
    },
    /// Another migration is at work on the same column.
    #[error("`{column}` is in the hands of `{other}`, which is not wholly done")]
    InFlight {
        /// The column.
        column: ColumnRef,
        /// The other migration.
        other: MigrationId,
    },
}

impl PlanError {
    /// The statement it is about, where it is about one.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Refused { span, .. } | Self::Unknown { span, .. } => Some(*span),
            Self::InFlight { .. } => None,
        }
    }

    /// What to do next.
    pub fn remedy(&self) -> String {
        match self {
            Self::Refused { remedy, .. } => remedy.clone(),
            Self::Unknown { .. } => {
                "check the name against the database: `zdmig plan` reads it live".into()
            }
            Self::InFlight { other, .. } => {
                format!(
                    "finish it first with `zdmig contract {other}` and `zdmig purge {other}`, or take it back with `zdmig rollback {other}`"
                )
            }
        }
    }
}

/// Plans one migration against the catalogue as it is, and gives the catalogue as it will
/// be once the plan is wholly done, so that the next migration can be planned against it.
///
/// # Errors
/// When a change cannot be made, names something unknown, or meets a plan in flight.
pub fn plan(
    migration: &Migration,
    catalog: &Catalog,
    in_flight: &[&Plan],
    dialect: &dyn Dialect,
) -> Result<(Plan, Catalog), PlanError> {
    let intents = intent::read(migration, catalog, dialect)?;
    let (plan, after) = assemble::assemble(migration, &intents, catalog, dialect)?;
    for other in in_flight.iter().filter(|other| other.migration != migration.id) {
        if let Some(column) = plan.shares(other) {
            let (column, other) = (column.clone(), other.migration.clone());
            return Err(PlanError::InFlight { column, other });
        }
    }
    Ok((plan, after))
}

/// Whether a fill gets over a table in chunks.
fn walks(dialect: &dyn Dialect, catalog: &Catalog, table: &Table) -> bool {
    !table.key.is_empty() || dialect.walk(catalog, table, &[]) != Walk::Key
}

/// The catalogue after a file, as far as its statements are understood: what cannot be made
/// of it is passed over.
#[must_use]
pub fn after(migration: &Migration, catalog: Catalog, dialect: &dyn Dialect) -> Catalog {
    changed(catalog, &changes(migration, dialect))
}

/// What a file does, as far as its statements are understood.
#[must_use]
pub fn changes(migration: &Migration, dialect: &dyn Dialect) -> Vec<ChangeKind> {
    let statements = migration.statements.iter();
    statements.flat_map(|one| dialect.interpret(&migration.source, one.span)).collect()
}

/// The catalogue after changes. What does not fit is passed over.
#[must_use]
pub fn changed(mut catalog: Catalog, changes: &[ChangeKind]) -> Catalog {
    for change in changes {
        let _ = catalog.make(change);
    }
    catalog
}

/// The statements of a file that nobody can judge, as far as that shows without a database:
/// they are refused outside of a section.
pub fn opaque(migration: &Migration, dialect: &dyn Dialect) -> Vec<(Span, String)> {
    if migration.allows("opaque").is_some() {
        return Vec::new();
    }
    intent::opaque(migration, dialect)
}

fn unsupported(span: Span, source: Unsupported) -> PlanError {
    PlanError::Refused { span, what: source.what, remedy: source.remedy }
}
