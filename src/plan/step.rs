use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Action, Lock};
use crate::migration::MigrationId;
use crate::sql::Sql;

/// When a step may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Only adds; any time before the deploy.
    Expand,
    /// Fills and proves; any time after expand.
    Backfill,
    /// Takes away what nobody uses, reversibly; only behind the gate.
    Contract,
    /// Takes it away for good; after the soak, behind the gate once more.
    Purge,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Expand, Self::Backfill, Self::Contract, Self::Purge];

    /// The phase's word, which is also the verb that runs it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Backfill => "backfill",
            Self::Contract => "contract",
            Self::Purge => "purge",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A step's identity: what it does to what, never a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// `20261123090000_rename_username/expand/add-users.email`.
    pub fn new(migration: &MigrationId, phase: Phase, slug: &str) -> Self {
        Self(format!("{migration}/{phase}/{slug}"))
    }

    /// Takes an id back from where it was stored.
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The migration with its slash: how every step of it begins.
    pub fn migration_prefix(&self) -> &str {
        self.0.find('/').map_or(&self.0, |at| &self.0[..=at])
    }

    /// Whether it is of a phase that takes away.
    pub fn takes_away(&self) -> bool {
        let phase = self.0.split('/').nth(1);
        matches!(phase, Some("contract" | "purge"))
    }

    /// The part after the migration and the phase.
    pub fn slug(&self) -> &str {
        self.0.splitn(3, '/').nth(2).unwrap_or(&self.0)
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its identity.
    pub id: StepId,
    /// When it may run.
    pub phase: Phase,
    /// What it does.
    pub action: Action,
    /// How.
    pub lowered: Lowered,
    /// How much there is to do; statistics, so not part of the fingerprint.
    pub estimate: Option<Estimate>,
}

/// A step in the words of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lowered {
    /// The statements, in order. A fill shows the statement of one chunk.
    pub sql: Vec<Sql>,
    /// Whether they can share a transaction with the journal.
    pub transaction: Transaction,
    /// What they lock.
    pub locks: Vec<Lock>,
    /// Whether the effect is there.
    pub landed: Check,
    /// How to take it back.
    pub undo: Undo,
    /// What an interrupted run may have left, to be cleared before the next try.
    pub clear: Option<Clear>,
    /// A sentence for the reader, where the SQL does not say it.
    pub note: Option<String>,
}

/// How to clear away what an interrupted run left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clear {
    /// Whether anything is left. What is whole is never cleared away.
    pub when: Check,
    /// By these statements.
    pub sql: Vec<Sql>,
}

/// Whether a step's statements may run in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transaction {
    /// The effect and its journal entry commit together.
    WithJournal,
    /// The server forbids it: the journal says started, then the effect is observed.
    Forbidden,
    /// Many short ones, each with its own checkpoint.
    PerChunk,
}

/// How a step is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// By these statements, under the same kind of transaction.
    Run(Vec<Sql>),
    /// One stage after the other, so that rows are never read under a lock that stops others.
    Stages {
        /// What is made again, at last with the journal's word that it is.
        stages: Vec<UndoStage>,
        /// Takes back what they did, where one failed or was cut off: then all of it is as the
        /// step left it.
        abandon: UndoStage,
    },
    /// There is nothing to take back.
    Nothing,
    /// Nothing is run, and this stays, which harms nobody.
    Stays(String),
    /// It cannot be taken back.
    Impossible,
}

/// A part of an undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoStage {
    /// The statements, in order.
    pub sql: Vec<Sql>,
    /// Whether they share a transaction with the journal, or the server forbids it.
    pub transaction: Transaction,
}

impl Undo {
    /// Every statement that leads back, in order.
    pub fn statements(&self) -> impl Iterator<Item = &Sql> {
        let (sql, stages): (&[Sql], &[UndoStage]) = match self {
            Self::Run(sql) => (sql, &[]),
            Self::Stages { stages, .. } => (&[], stages),
            Self::Nothing | Self::Stays(_) | Self::Impossible => (&[], &[]),
        };
        sql.iter().chain(stages.iter().flat_map(|stage| &stage.sql))
    }
}

/// A question to the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A query.
    pub sql: Sql,
    /// The answer that means yes.
    pub expect: Expect,
}

/// What a check's query returns when the answer is yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// No row.
    NoRows,
    /// At least one row.
    Rows,
    /// Nothing is asked: the journal alone knows.
    Journal,
}

/// How much a step has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Rows of the table, by the server's statistics.
    pub rows: u64,
    /// Bytes of the table.
    pub bytes: u64,
    /// Seconds, where they can be told, by the basis below.
    pub seconds: Option<u64>,
    /// What the seconds rest on.
    pub basis: String,
}
