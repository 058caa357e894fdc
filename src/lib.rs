//! The floors of the house, from the ground up. A floor uses only those before it.

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
pub mod report;
pub mod sql;
pub mod telemetry;
