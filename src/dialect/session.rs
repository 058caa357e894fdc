use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use super::filler::{FailedRow, FillOrder, Filler};
use super::monitor::{FillState, Monitor, MonitorOptions, Steer, Steering};
use crate::catalog::{Catalog, Server};
use crate::journal::{Entry, IllegalEntry, Journal, Watermark};
use crate::plan::{Blocks, Check, Held, Lock, StepId};
use crate::sql::Sql;

/// The only door to a live database's schema.
#[async_trait]
pub trait Session: Send {
    /// What the database holds now. Reads only.
    async fn catalog(&mut self) -> Result<Catalog, SessionError>;

    /// The product and its version, which nobody's lock can hold up. Reads only.
    async fn server(&mut self) -> Result<Server, SessionError>;

    /// What zdmig did here; empty where it never ran. Reads only.
    async fn journal(&mut self) -> Result<Journal, SessionError>;

    /// Asks a question. Reads only.
    async fn check(&mut self, check: &Check) -> Result<Answer, SessionError>;

    /// Asks a question of the database as it would be after some statements, and takes these back.
    async fn suppose(&mut self, after: &[Sql], check: &Check) -> Result<Answer, SessionError>;

    /// Tries once to become the only zdmig that changes this database, and makes our
    /// bookkeeping where it is missing. Held until the session ends.
    async fn exclusive(&mut self, owner: &str) -> Result<(), SessionError>;

    /// Runs statements one by one outside a transaction and without a lock timeout, and tells how
    /// far they are where the product can say it.
    async fn execute(
        &mut self,
        sql: &[Sql],
        told: &mut (dyn FnMut(Doing) + Send),
    ) -> Result<(), SessionError>;

    /// Runs statements and writes the journal entry in one transaction, under a lock
    /// timeout, and only while this session is the exclusive one.
    async fn commit(&mut self, work: &Work<'_>) -> Result<(), SessionError>;

    /// Takes a fill up where it was left, or from the beginning: how far it has come.
    async fn begin_fill(
        &mut self,
        order: &FillOrder,
        anew: bool,
    ) -> Result<Watermark, SessionError>;

    /// Has the rows tried again that failed in a fill.
    async fn retry_failed(&mut self, step: &StepId) -> Result<(), SessionError>;

    /// Some of the rows that failed in a fill.
    async fn failed_rows(
        &mut self,
        step: &StepId,
        most: u32,
    ) -> Result<Vec<FailedRow>, SessionError>;

    /// Opens a connection of its own that works on a fill.
    async fn filler(&mut self, order: &FillOrder) -> Result<Box<dyn Filler>, SessionError>;

    /// A connection of its own that watches the database while a fill runs. It is made at its
    /// first look.
    fn monitor(&mut self, order: &FillOrder, options: &MonitorOptions) -> Box<dyn Monitor>;

    /// Asks something of a migration's fills, those that run and those to come; `prefix` is how
    /// its steps begin.
    async fn steer(&mut self, prefix: &str, change: &Steer) -> Result<(), SessionError>;

    /// What is asked of a migration's fills.
    async fn steering(&mut self, prefix: &str) -> Result<Steering, SessionError>;

    /// How far every fill is that is not done. Reads only.
    async fn fills(&mut self) -> Result<Vec<FillState>, SessionError>;

    /// What the statements of the last call locked and did, where the session was opened to
    /// measure it and the product can tell.
    fn measured(&mut self) -> Option<Measured> {
        None
    }
}

/// What statements really did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The strongest lock on each relation that was there before, in the server's own words.
    pub locks: BTreeMap<String, String>,
    /// Tables that were written anew.
    pub rewritten: Vec<String>,
    /// Tables that were read from end to end.
    pub scanned: Vec<String>,
    /// What the server itself said that it did.
    pub said: Vec<String>,
    /// From when the first of them asked for its lock until all were let go.
    pub held: Duration,
}

impl Measured {
    /// Whether all of it was told before: each relation that was locked and how, and no table
    /// written anew or read to its end without a word. One that is read under a lock that
    /// nobody minds is no surprise.
    pub fn was_told(&self, locks: &[Lock]) -> bool {
        let told: BTreeMap<_, _> =
            locks.iter().map(|lock| (lock.object.clone(), lock.mode.clone())).collect();
        let works = |table: &String, held: &[Held]| {
            locks.iter().any(|lock| {
                lock.object == *table && (lock.blocks < Blocks::Writes || held.contains(&lock.held))
            })
        };
        let rewrites = |table| works(table, &[Held::WhileRewriting]);
        let scans = |table| works(table, &[Held::WhileScanning, Held::WhileRewriting]);
        told == self.locks && self.rewritten.iter().all(rewrites) && self.scanned.iter().all(scans)
    }
}

/// How far a statement is that takes long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// What it is at, in the server's own words.
    pub what: String,
    /// How much of that is done, in blocks or rows.
    pub done: u64,
    /// How much there is; 0 where that is not known.
    pub total: u64,
    /// Whom it waits for, if it waits.
    pub blockers: Vec<Blocker>,
}

/// What is measured of the statements that a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing.
    Nothing,
    /// What they lock and for how long, beside an application that is at work.
    Locks,
    /// What they lock and do to tables. Others are locked out for it, so on a scratch database only.
    Everything,
}

/// How a session behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a statement of ours may wait for a lock, at most.
    pub lock_timeout: Duration,
    /// How long to wait for the server to answer a connection.
    pub connect_timeout: Duration,
    /// What to measure of our own statements.
    pub measure: Measure,
    /// Whether a pooler before the server will do: enough to read, and to fill.
    pub pooled: bool,
    /// The one of several schemas that it works in, beside others that work in other ones. Without
    /// one it works alone.
    pub beside: Option<String>,
}

/// Statements and the entry that says they were run.
#[derive(Debug)]
pub struct Work<'a> {
    /// The statements; may be none.
    pub sql: &'a [Sql],
    /// The entry; the database gives it its time.
    pub entry: &'a Entry,
}

/// The answer to a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is what was expected.
    pub yes: bool,
    /// The first column of the first row, where one came.
    pub detail: Option<String>,
}

/// A session that stands in the way of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The server process.
    pub pid: i32,
    /// Its role.
    pub user: String,
    /// What it calls itself.
    pub application: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// How long its transaction has been open.
    pub open_for: Duration,
    /// The beginning of its last statement.
    pub query: String,
}

impl Blocker {
    /// Who it is, without what it runs: that may hold anybody's data.
    pub fn who(&self) -> String {
        format!(
            "pid {} ({} as `{}`), {} for {:.1} s",
            self.pid,
            if self.application.is_empty() { "unnamed" } else { &self.application },
            self.user,
            self.state,
            self.open_for.as_secs_f64()
        )
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.who(), self.query)
    }
}

/// What can go wrong at the door.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The server cannot be reached, or does not let us in. The text holds no secret.
    #[error("cannot reach the database at {url}: {message}")]
    Unreachable {
        /// The address without its password.
        url: String,
        /// What the system or the server said.
        message: String,
    },
    /// Before the server is a pooler, whose sessions are not ours alone.
    #[error(
        "{url} is a connection pooler: a lock or a setting of a session would be somebody else's"
    )]
    Pooled {
        /// The address without its password.
        url: String,
    },
    /// The connection was lost.
    #[error("the connection to the database was lost: {message}")]
    Lost {
        /// What the driver said.
        message: String,
    },
    /// A lock was not to be had in time.
    #[error("no lock within {} ms{}", waited.as_millis(), list(blockers))]
    LockTimeout {
        /// How long the statement waited.
        waited: Duration,
        /// Who was in the way.
        blockers: Vec<Blocker>,
    },
    /// Another zdmig is at work.
    #[error("another zdmig is at work on this database: {holder}")]
    Busy {
        /// Who, as it wrote itself down.
        holder: String,
    },
    /// Another zdmig has taken over since.
    #[error("another zdmig has taken over the run lock of this database since")]
    Fenced,
    /// A version has come to life that is not known to do without what goes, or somebody waits for it.
    #[error("{why}, so nothing was taken away")]
    Entered {
        /// Who, and how it was seen.
        why: String,
    },
    /// The role may not do this.
    #[error("the database refuses: {message}")]
    Denied {
        /// What the server said.
        message: String,
    },
    /// The statement failed.
    #[error("{message}{}", statement.as_ref().map(|sql| format!("\n  in: {sql}")).unwrap_or_default())]
    Failed {
        /// What the server said.
        message: String,
        /// The server's code, where it has codes.
        code: Option<String>,
        /// The statement.
        statement: Option<String>,
    },
    /// Our bookkeeping is not as we left it.
    #[error("{0}")]
    Journal(#[from] IllegalEntry),
    /// Our bookkeeping was written by another version, or by another hand.
    #[error("the bookkeeping of zdmig in this database cannot be read: {message}")]
    Bookkeeping {
        /// What is wrong with it.
        message: String,
    },
}

impl SessionError {
    /// Whether a statement names a relation that is not there: a standard code of the class of
    /// access rule violations, as servers with such codes give it.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Failed { code: Some(code), .. } if code == "42P01")
    }

    /// Whether a statement was ended from outside, to let somebody through: the standard's
    /// code for it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Failed { code: Some(code), .. } if code == "57014")
    }

    /// Whether the connection is gone, and another one may do.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Unreachable { .. })
    }

    /// Whether a row is to blame: its data, a rule that it breaks, a trigger that refuses it. By the
    /// classes of the standard's codes, and by what triggers raise.
    pub fn is_of_a_row(&self) -> bool {
        let of_rows = |code: &str| ["22", "23", "44", "P0"].iter().any(|one| code.starts_with(one));
        matches!(self, Self::Failed { code: Some(code), .. } if code.len() == 5 && of_rows(code))
    }

    /// Whether rows are in the way: class 23 of the standard's codes.
    pub fn is_broken_rule(&self) -> bool {
        matches!(self, Self::Failed { code: Some(code), .. } if code.len() == 5 && code.starts_with("23"))
    }
}

fn list(blockers: &[Blocker]) -> String {
    let names: Vec<_> = blockers.iter().map(|one| format!("\n  held by {one}")).collect();
    names.concat()
}

impl SessionError {
    /// Whether the same statement may work on a new try without anything being changed.
    pub fn passes(&self) -> bool {
        matches!(self, Self::LockTimeout { .. })
    }
}
