//! Schema changes as expand, backfill and contract, with a gate that proves that no running version
//! uses what contract removes.
//!
//! A program of yours needs [`Zdmig`] alone. The rest are the floors of the house, from the ground up;
//! a floor uses only those before it. They change from one release to the next.

pub mod backfill;
pub mod catalog;
pub mod change;
pub mod cli;
pub mod config;
pub mod demo;
pub mod dialect;
pub mod engine;
pub mod gate;
pub mod journal;
pub mod migration;
pub mod plan;
pub mod planner;
pub mod rehearsal;
pub mod report;
pub mod sql;
pub mod telemetry;

pub use cli::{Failed, Phased, Zdmig};
