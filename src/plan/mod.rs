//! Floor 3: what zdmig will do, as a value that is printed, hashed, saved and then run.
//! Nouns only.

mod action;
mod carried;
mod derive;
mod difference;
mod fill;
mod fingerprint;
mod format;
mod hazard;
mod lock;
mod object;
mod premise;
mod requirement;
mod retire;
mod retype;
mod step;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use action::{
    Action, AddColumn, Carried, DropNotNull, Expr, IndexBuild, NotNullCheck, Seeds, Sync, SyncKind,
    Verbatim,
};
pub use carried::Dependent;
pub use derive::{Derived, StandIn};
pub use difference::Difference;
pub use fill::{Analyze, Assignment, CopyRows, FillRows, Pending, Verify, VerifyRule, Walk};
pub use fingerprint::Fingerprint;
pub use format::{FORMAT, FormatError};
pub use hazard::{CARDS, Hazard, HazardCard, Severity, card};
pub use lock::{Blocks, Held, Lock};
pub use object::{
    AddCounted, AliasColumn, AttachIndex, AttachPartition, DropConstraint, JoinIndexes, KeyKind,
    MakeIdentity, RenameTable, RetireTables, SetDefault,
};
pub use premise::Premise;
pub use requirement::{Requirement, Target, Use};
pub use retire::{DropColumn, Retire, RetireType, RetireWay, TakenOver};
pub use retype::{Counts, IndexRole, Retyped, Swap, SwappedConstraint, SwappedIndex};
pub use step::{
    Check, Clear, Estimate, Expect, Lowered, Phase, Step, StepId, Transaction, Undo, UndoStage,
};

use crate::migration::{Checksum, MigrationId};
use crate::sql::{ColumnRef, TableName, mentions};

/// The whole of one migration, decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this format, [`FORMAT`].
    pub zdmig_plan: u32,
    /// The migration it was made from.
    pub migration: MigrationId,
    /// The file it was made from.
    pub checksum: Checksum,
    /// The product it was made for.
    pub product: String,
    /// SHA-256 of everything here but itself and the estimates.
    pub fingerprint: Fingerprint,
    /// What the tables it touches must look like before a phase begins.
    pub expects: BTreeMap<Phase, Fingerprint>,
    /// What must be true of the rows before the first of them runs.
    pub premises: Vec<Premise>,
    /// The steps, in the order in which they run.
    pub steps: Vec<Step>,
    /// What contract takes away.
    pub requirement: Requirement,
    /// The hazards that were found, those the author allowed with the reason.
    pub hazards: Vec<Hazard>,
    /// Columns that it makes, fills or removes: two plans in flight must not share one.
    pub touches: Vec<ColumnRef>,
    /// Columns that its triggers read: no other plan may take one away meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ColumnRef>,
}

impl Plan {
    /// The steps of one phase.
    pub fn phase(&self, phase: Phase) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.phase == phase)
    }

    /// Tables that contract takes something of.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.requirement.targets.iter().map(|target| &target.column.table)
    }

    /// A table that it changes and that is not in the schema that it is run in.
    pub fn strays(&self) -> Option<&TableName> {
        let schema = self.migration.schema()?;
        let own =
            |table: &&TableName| table.schema.as_ref().is_none_or(|one| one.as_str() == schema);
        self.touches.iter().map(|column| &column.table).find(|table| !own(table))
    }

    /// Something that both plans make, fill, need or remove. A plan that makes a table has
    /// all of its columns in hand.
    pub fn shares<'a>(&'a self, other: &'a Self) -> Option<&'a ColumnRef> {
        fn read<'a>(one: &'a Plan, other: &Plan) -> Option<&'a ColumnRef> {
            one.reads.iter().find(|column| other.takes(column))
        }
        if let Some(column) = read(self, other).or_else(|| read(other, self)) {
            return Some(column);
        }
        let whole = |column: &ColumnRef| column.column.as_str() == "*";
        self.touches.iter().find(|mine| {
            other.touches.iter().any(|theirs| {
                let everything = whole(mine) || whole(theirs);
                mine.table == theirs.table && (everything || mine.column == theirs.column)
            })
        })
    }

    /// Whether it takes a column away, or gives it another type.
    fn takes(&self, column: &ColumnRef) -> bool {
        self.requirement.targets.iter().any(|target| {
            target.column == *column && matches!(target.ends, Use::Any | Use::Retypes(_))
        })
    }

    /// Whether a statement of it names something. A name that its tables or columns have as well says
    /// nothing without its schema.
    pub fn names(&self, schema: Option<&str>, name: &str) -> bool {
        let own = |column: &ColumnRef| {
            column.table.name.as_str().eq_ignore_ascii_case(name)
                || column.column.as_str().eq_ignore_ascii_case(name)
        };
        let columns = self.requirement.targets.iter().filter(|target| target.ends != Use::Names);
        let targets = columns.map(|target| &target.column);
        let ambiguous = self.touches.iter().chain(targets).any(own);
        let whole = schema.map(|schema| format!("{schema}.{name}"));
        self.steps.iter().flat_map(|step| &step.lowered.sql).any(|sql| {
            let text = sql.as_str().replace('"', "");
            let said = whole.as_ref().is_some_and(|whole| mentions(&text, whole));
            said || !ambiguous && mentions(&text, name)
        })
    }

    /// Whether contract takes something away by another name.
    pub fn renames_away(&self) -> bool {
        self.phase(Phase::Contract).any(|step| match &step.action {
            Action::Retire(one) => matches!(one.way, RetireWay::Rename(_)),
            Action::RetireTables(_) => true,
            _ => false,
        })
    }

    /// The hazards that stop this plan from being run.
    pub fn denied(&self) -> impl Iterator<Item = &Hazard> {
        self.hazards.iter().filter(|one| one.severity() == Severity::Deny && one.allowed.is_none())
    }
}
