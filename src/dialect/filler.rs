use std::time::Duration;

use async_trait::async_trait;

use super::SessionError;
use crate::plan::{FillRows, StepId, VerifyRule};

/// A connection that fills rows: one worker of a fill, beside as many others as there are. The
/// database says which part of the table is whose.
#[async_trait]
pub trait Filler: Send {
    /// Leases the next part of the table that nobody is at work on.
    async fn take(&mut self) -> Result<Taken, SessionError>;

    /// Fills the next chunk of the leased part and moves its watermark, in one transaction.
    ///
    /// # Errors
    /// [`SessionError::Fenced`] when the part was leased to another since.
    async fn chunk(&mut self, rows_max: u32) -> Result<ChunkDone, SessionError>;

    /// Gives the part back, for another to go on with.
    async fn leave(&mut self) -> Result<(), SessionError>;
}

/// What is filled, by a step.
#[derive(Clone, Debug)]
pub struct FillOrder {
    /// The step it belongs to.
    pub step: StepId,
    /// What is filled.
    pub fill: FillRows,
    /// What every row is proved to obey; rows that do not are filled, and no others.
    pub prove: Option<VerifyRule>,
}

/// The answer to a worker that asks for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A part, and why it is walked in another way than the plan says, if it is.
    Part(Option<String>),
    /// Every part that is left is another's, or holds rows that are locked.
    Wait {
        /// Whether locked rows are all that is left.
        locked: bool,
    },
    /// Rows that failed were tried again; there may be more.
    Again,
    /// The table is done.
    Complete(Filled),
}

/// What a fill did, by all workers and all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Rows that it changed.
    pub rows: u64,
    /// Rows that fail, and were left out.
    pub failed: u64,
    /// Rows that were looked at, where it proves something.
    pub seen: u64,
}

/// A row that a fill left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRow {
    /// The table or partition.
    pub relation: String,
    /// The values of its key; without a key, its place.
    pub key: Vec<String>,
    /// What the database said.
    pub reason: String,
}

/// What a chunk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkDone {
    /// Rows it changed.
    pub rows: u64,
    /// Rows it walked over, as an estimate where they were not counted.
    pub walked: u64,
    /// How long its statement took. The commit is not counted: it costs the same whatever
    /// the size, so a smaller chunk would not make it shorter.
    pub took: Duration,
    /// Whether it was the last one of its part.
    pub ended: bool,
    /// Whether somebody wants the fill to pause.
    pub paused: bool,
    /// Rows that failed, and were written down and left out.
    pub failed: u64,
    /// Rows that it looked at, where it proves something.
    pub seen: u64,
}
