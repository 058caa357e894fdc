use std::fmt;

use async_trait::async_trait;

use super::SessionError;
use crate::plan::StepId;

/// A connection that watches the database while a fill runs on others.
#[async_trait]
pub trait Monitor: Send {
    /// Reads how the database is, as far as we may see it, and what people ask of the fill. Whoever
    /// still waits for a chunk that it waited for at the last look is let through: the chunk is
    /// taken back.
    async fn look(&mut self) -> Result<Look, SessionError>;

    /// Writes down what this process is at, for others to see.
    async fn report(&mut self, report: &Report) -> Result<(), SessionError>;

    /// Takes that away again.
    async fn leave(&mut self) -> Result<(), SessionError>;
}

/// What a monitor watches for.
#[derive(Clone, Debug, Default)]
pub struct MonitorOptions {
    /// Who we are: `user@host zdmig/version pid 42`.
    pub owner: String,
    /// The size of the server's disk in bytes, where it cannot be asked.
    pub disk_size: Option<u64>,
}

/// How the database is.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// What was read.
    pub readings: Vec<Reading>,
    /// What could not be read or is not as it could be, and what it takes.
    pub remarks: Vec<String>,
    /// What people ask.
    pub steering: Steering,
}

/// A number that says how the database bears a fill.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Of what.
    pub signal: Signal,
    /// In the signal's unit.
    pub value: f64,
    /// What the value is a share of, where it is one.
    pub of: Option<f64>,
    /// Whose it is: `replica a`, `pid 4711`. Empty where that is plain.
    pub whose: String,
}

/// What is read. The names are those of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// How far a replica is behind, in seconds.
    ReplicaLag,
    /// Sessions that wait for a lock on the table.
    LockWaits,
    /// Sessions that run a statement, ours apart; of those that may connect.
    ActiveSessions,
    /// Bytes of log since the last checkpoint; of those after which the server is late with the next.
    Checkpoint,
    /// Age of the oldest open snapshot in seconds.
    OldestSnapshot,
    /// Dead rows of the table; of all of its rows.
    DeadRows,
    /// Free bytes on the server's disk; of its size.
    FreeDisk,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 7] = [
        Self::ReplicaLag,
        Self::LockWaits,
        Self::ActiveSessions,
        Self::Checkpoint,
        Self::OldestSnapshot,
        Self::DeadRows,
        Self::FreeDisk,
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReplicaLag => "replica_lag",
            Self::LockWaits => "lock_waits",
            Self::ActiveSessions => "active_sessions",
            Self::Checkpoint => "checkpoint",
            Self::OldestSnapshot => "oldest_snapshot",
            Self::DeadRows => "dead_rows",
            Self::FreeDisk => "free_disk",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What people ask of a fill while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steering {
    /// Who wants it to pause.
    pub paused_by: Option<String>,
    /// Another pace.
    pub pace: Option<String>,
    /// Another number of workers in each process.
    pub workers: Option<u32>,
}

/// A change of it; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steer {
    /// Pause, said by whom; or go on.
    pub paused_by: Option<Option<String>>,
    /// The pace.
    pub pace: Option<String>,
    /// The number of workers.
    pub workers: Option<u32>,
}

/// What one process is at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Its workers.
    pub workers: u32,
    /// The name of its pace.
    pub pace: String,
    /// Rows that it walks over in a second.
    pub rate: f64,
    /// What holds it back.
    pub held_by: Option<String>,
}

/// How far a fill is, and who is at it.
#[derive(Clone, Debug)]
pub struct FillState {
    /// Its step.
    pub step: StepId,
    /// The share of the table that it has walked over, where that is known.
    pub share: Option<f64>,
    /// Who is at it: by name, with what they said last.
    pub runners: Vec<(String, Report)>,
}
