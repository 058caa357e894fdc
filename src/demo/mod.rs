//! Floor 8: two versions of a small application, and a memory of every write they were
//! told is done. They know nothing of zdmig but its heartbeat.

mod app;
mod ledger;

pub use app::{App, Done, Running, Version};
pub use ledger::{Ledger, Missing};

/// The table, in SQL that every product reads. The old column has a default, so that new
/// code may leave it out also where no trigger can fill it before the row is checked.
pub const SCHEMA: &str = "\
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    username VARCHAR(255) NOT NULL DEFAULT 'anonymous',
    bio TEXT
);
CREATE INDEX users_username ON users (username);";

/// The migration.
pub const MIGRATION: &str = include_str!("../../migrations/20261123090000_rename_username.sql");

/// The migration's file.
pub const FILE: &str = "20261123090000_rename_username.sql";
