use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::sql::ColumnRef;

/// What one server has counted of the statements that ran there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLog {
    /// When it was read, by the server's clock.
    pub at: DateTime<Utc>,
    /// When counting began; another value means that it began anew.
    pub reset: String,
    /// How many statements had to make room for others.
    pub lost: i64,
    /// Why it does not show everything, whatever the time.
    pub flaws: Vec<String>,
    /// The role that read it: its statements are zdmig's.
    pub own: String,
    /// Login roles that can become that one.
    pub become_own: Vec<String>,
    /// Replicas that follow this server.
    pub replicas: i64,
    /// The statements.
    pub counted: Vec<Counted>,
}

/// One statement, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What tells it from others.
    pub key: String,
    /// Who ran it.
    pub role: String,
    /// How often.
    pub calls: i64,
    /// Its text; empty where it is none of an application's.
    pub text: String,
    /// Of an index that was scanned: the index, and the column by which it is sorted first.
    pub index: Option<(String, ColumnRef)>,
}

/// The beginning of a window on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The server: `primary`, or the address of a replica without its secrets.
    pub node: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// As [`StatementLog::reset`] was.
    pub reset: String,
    /// As [`StatementLog::lost`] was.
    pub lost: i64,
    /// How often each statement had run.
    pub calls: BTreeMap<String, i64>,
}
