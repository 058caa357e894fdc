use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Blocker, Counted, Observation, SessionError, StatementLog};
use crate::migration::Row;
use crate::plan::Target;
use crate::sql::{Ident, TableName};

/// What the gate asks a database, and the facts it is told.
#[async_trait]
pub trait Observer: Send {
    /// Everything the database knows about who runs and who may touch the targets. Reads
    /// only; empty where zdmig never ran.
    async fn witness(&mut self, env: &str, targets: &[Target]) -> Result<Witness, SessionError>;

    /// The migrations behind whose fences this version is: it is not known to do without what they
    /// take away.
    async fn fenced(
        &mut self,
        env: &str,
        service: &str,
        version: &str,
    ) -> Result<Vec<String>, SessionError>;

    /// Migrations whose fences stand in an environment.
    async fn fences(&mut self, env: &str) -> Result<Vec<String>, SessionError>;

    /// Migrations whose columns are away for a while, or were left so by a server that crashed.
    async fn dark(&mut self) -> Result<Vec<String>, SessionError>;

    /// Sessions that are connected to this server; `None` where the product cannot tell.
    async fn sessions(&mut self) -> Result<Option<Vec<Connected>>, SessionError>;

    /// What sessions run just now, or ran a moment ago, but for roles that are let through.
    async fn running(&mut self, passed: &[String]) -> Result<Vec<Counted>, SessionError>;

    /// What this server has counted of the statements that ran; the inner error says why it
    /// counts none.
    async fn statements(&mut self) -> Result<Result<StatementLog, String>, SessionError>;

    /// What of this server makes evidence weaker than it could be. `roles` are those of consumers.
    async fn examine(&mut self, roles: &[String]) -> Result<Vec<Finding>, SessionError>;

    /// Where the windows of an environment begin.
    async fn observations(&mut self, env: &str) -> Result<Vec<Observation>, SessionError>;

    /// Who approved which plan of a migration, the oldest first.
    async fn approvals(&mut self, migration: &str) -> Result<Vec<Approval>, SessionError>;

    /// What was found when plans of a migration were rehearsed, as it was told, the latest last.
    async fn rehearsals(&mut self, migration: &str) -> Result<Vec<String>, SessionError>;

    /// How the database bears what connections of this name do, and how large these tables are.
    async fn strain(&mut self, name: &str, tables: &[TableName]) -> Result<Strain, SessionError>;

    /// Some of the values that a column has, as texts, each once.
    async fn values(
        &mut self,
        table: &TableName,
        column: &Ident,
        most: u32,
    ) -> Result<Vec<String>, SessionError>;

    /// The largest number that a column has.
    async fn largest(
        &mut self,
        table: &TableName,
        column: &Ident,
    ) -> Result<Option<i64>, SessionError>;

    /// The zdmig that holds the run lock, as far as that can be seen without taking it.
    async fn at_work(&mut self) -> Result<Option<AtWork>, SessionError>;

    /// Whether there is a schema of this name, and whether the role may use it.
    async fn has_schema(&mut self, name: &str) -> Result<Option<bool>, SessionError>;

    /// The schemas of applications whose names fit a pattern, in which `*` stands for anything and
    /// `?` for one letter.
    async fn schemas(&mut self, pattern: &str) -> Result<Vec<String>, SessionError>;

    /// Some columns of a table that is not ours, ordered by the first, every value as text and bytes
    /// in hexadecimal; `None` where there is no such table.
    async fn foreign(
        &mut self,
        table: &TableName,
        columns: &[&str],
    ) -> Result<Option<Vec<Row>>, SessionError>;

    /// Writes a fact down.
    async fn record(&mut self, fact: &Fact<'_>) -> Result<(), SessionError>;
}

/// What a database knows about who runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// Signs of life that instances gave themselves.
    pub heartbeats: Vec<Beat>,
    /// Sessions that are connected; `None` where the product cannot tell.
    pub sessions: Option<Vec<Connected>>,
    /// Deployments that were recorded and not ended.
    pub deployments: Vec<Deployed>,
    /// Usage manifests that were published.
    pub manifests: Vec<Manifest>,
    /// Every role that could log in and touch a target; `None` where there are no roles.
    pub roles: Option<Vec<RoleAccess>>,
    /// What uses a target inside the database and is not part of the plan.
    pub dependents: Vec<String>,
    /// What the server knows to rest on a target, whether the plan sees to it or not.
    pub bound: Vec<Bound>,
    /// What sends a target's changes to others: publications, and slots that read everything.
    pub streams: Vec<String>,
}

/// One thing that a doctor looks at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What it is for.
    pub about: &'static str,
    /// Whether it is as it should be.
    pub well: bool,
    /// What was found.
    pub found: String,
    /// What to change, where it is not.
    pub remedy: String,
}

impl Finding {
    /// As it should be.
    pub fn well(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, well: true, found: found.into(), remedy: String::new() }
    }

    /// To be changed.
    pub fn ill(about: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { about, well: false, found: found.into(), remedy: remedy.into() }
    }
}

/// A zdmig that holds the run lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// Who, as it wrote itself down.
    pub owner: String,
    /// Since when, by the database's clock.
    pub since: DateTime<Utc>,
    /// Who is in the way of its statement just now.
    pub blockers: Vec<Blocker>,
}

/// How a database bears a load, at a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    /// How long somebody of the load has waited for a lock.
    pub waits: Duration,
    /// Where the server's log ends, in bytes.
    pub log: u64,
    /// Bytes of the tables with their indexes.
    pub bytes: u64,
}

/// Somebody's word for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The plan's fingerprint.
    pub fingerprint: String,
    /// Who, as they named themselves.
    pub who: String,
    /// The role they were logged in as, where the product has roles.
    pub role: Option<String>,
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// The plan itself, as JSON.
    pub plan: String,
}

impl std::fmt::Display for Approval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.who)?;
        if let Some(role) = &self.role {
            write!(f, " (role `{role}`)")?;
        }
        write!(f, " at {}", self.at.format("%Y-%m-%d %H:%M UTC"))
    }
}

/// Something that rests on a target.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bound {
    /// What it is, and on what it rests.
    pub what: String,
    /// Its name alone.
    pub name: String,
    /// Its schema, where it has one of its own.
    pub schema: Option<String>,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// The instance.
    pub instance: String,
    /// How long ago, by the database's clock.
    pub age: Duration,
}

/// A connected session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// What it calls itself.
    pub application: String,
    /// Its role.
    pub role: String,
    /// Where it was seen: `session 42`.
    pub place: String,
}

/// A recorded deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Since when it does not run any more.
    pub ended: Option<DateTime<Utc>>,
    /// Whether others run it, for as long as they like.
    pub released: bool,
}

/// A published usage manifest, as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// The JSON text.
    pub text: String,
}

/// A login role that could touch a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAccess {
    /// Its name.
    pub role: String,
    /// Which target, and how: `reads and writes users.username`.
    pub access: String,
}

/// A fact about deployments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// A version was deployed; it replaces the service's others unless kept.
    Deployed {
        /// The environment.
        env: &'a str,
        /// The service.
        service: &'a str,
        /// The version.
        version: &'a str,
        /// Whether the versions before it go on running.
        keep_previous: bool,
    },
    /// A version is given to others, who run it for as long as they like.
    Released {
        /// The environment.
        env: &'a str,
        /// The service.
        service: &'a str,
        /// The version.
        version: &'a str,
    },
    /// A version that was given to others works no more.
    Withdrawn {
        /// The environment.
        env: &'a str,
        /// The service.
        service: &'a str,
        /// The version.
        version: &'a str,
    },
    /// A version does not run any more.
    Ended {
        /// The environment.
        env: &'a str,
        /// The service.
        service: &'a str,
        /// The version.
        version: &'a str,
    },
    /// An instance is alive.
    Alive {
        /// The environment.
        env: &'a str,
        /// The service.
        service: &'a str,
        /// The version.
        version: &'a str,
        /// The instance.
        instance: &'a str,
    },
    /// An instance has stopped and said so.
    Gone {
        /// The environment.
        env: &'a str,
        /// The service.
        service: &'a str,
        /// The version.
        version: &'a str,
        /// The instance.
        instance: &'a str,
    },
    /// A migration is about to take something away: only these versions do without it.
    Fenced {
        /// The environment.
        env: &'a str,
        /// The migration.
        migration: &'a str,
        /// For how long a sign of life counts.
        alive: Duration,
        /// The versions, as service and version.
        cleared: &'a [(String, String)],
        /// Those that somebody answers for, in the same form: they are at work, and may not start.
        admitted: &'a [(String, String)],
    },
    /// Another version does without what a migration takes away.
    Cleared {
        /// The environment.
        env: &'a str,
        /// The migration.
        migration: &'a str,
        /// The service.
        service: &'a str,
        /// The version.
        version: &'a str,
    },
    /// A migration takes nothing away any more.
    Unfenced {
        /// The migration.
        migration: &'a str,
    },
    /// A window on what runs is opened.
    Observing {
        /// The environment.
        env: &'a str,
        /// The server.
        node: &'a str,
        /// What it has counted so far.
        log: &'a StatementLog,
    },
    /// The windows of an environment are closed.
    Unobserved {
        /// The environment.
        env: &'a str,
    },
    /// Somebody approves a plan.
    Approved {
        /// The migration.
        migration: &'a str,
        /// The plan's fingerprint.
        fingerprint: &'a str,
        /// Who.
        who: &'a str,
        /// The plan itself, as JSON.
        plan: &'a str,
    },
    /// Somebody takes their approval back.
    Unapproved {
        /// The migration.
        migration: &'a str,
        /// The plan's fingerprint.
        fingerprint: &'a str,
        /// Who.
        who: &'a str,
    },
    /// A plan was rehearsed.
    Rehearsed {
        /// The migration.
        migration: &'a str,
        /// The plan's fingerprint.
        fingerprint: &'a str,
        /// What was found, as JSON.
        report: &'a str,
    },
    /// A version's usage manifest.
    Usage {
        /// The service.
        service: &'a str,
        /// The version.
        version: &'a str,
        /// The JSON text.
        text: &'a str,
    },
}
