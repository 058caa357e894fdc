use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::SessionError;
use crate::sql::ColumnRef;

/// Takes columns away for a while, on connections of its own. The server itself gives them back
/// when we are not heard of any more.
#[async_trait]
pub trait Dimmer: Send {
    /// Takes them away.
    async fn begin(&mut self, order: &Dimming) -> Result<Dark, SessionError>;

    /// Says that we are still here, and reads which statements failed since the last look.
    async fn look(&mut self) -> Result<Vec<Refused>, SessionError>;

    /// Lets a statement of our own fail, and says whether the log told of it: where it did not, it
    /// tells of nobody's.
    async fn control(&mut self) -> Result<bool, SessionError>;

    /// Gives them back, exactly as they were.
    async fn end(&mut self) -> Result<(), SessionError>;
}

/// What is to be taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimming {
    /// For which migration.
    pub migration: String,
    /// The columns.
    pub columns: Vec<ColumnRef>,
    /// For how long at most.
    pub lasts: Duration,
    /// After how long a silence of ours the server gives them back.
    pub lease: Duration,
    /// Who does it.
    pub owner: String,
    /// The server's log on this machine, where it cannot be read through the server.
    pub log: Option<PathBuf>,
}

/// What it is like once they are taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dark {
    /// How long taking them away took.
    pub took: Duration,
    /// The log in which failed statements are looked for.
    pub log: Option<String>,
    /// Login roles that no privilege stops.
    pub unstopped: Vec<String>,
}

/// A statement that failed because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its role; empty where the log does not say.
    pub role: String,
    /// What its session calls itself; empty where the log does not say.
    pub application: String,
    /// The beginning of the statement, or of the log's line.
    pub statement: String,
}
