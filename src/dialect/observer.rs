use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::SessionError;
use crate::plan::Target;

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
    /// What sends a target's changes to others: publications, and slots that read everything.
    pub streams: Vec<String>,
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
    /// The server process.
    pub pid: i32,
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
