//! The drill's own client: `load` reads and writes through the proxy at a fixed rate and remembers every
//! write that was acknowledged; `report` says what was seen in each phase, and fails where something was lost.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a program")]

mod load;
mod report;

use std::path::PathBuf;

use clap::Parser;

#[derive(Parser)]
enum Command {
    Load(load::Args),
    Report(report::Args),
}

/// The name of a user that nobody has changed since the table was made.
fn first_name(id: i64) -> String {
    format!("user {id}")
}

fn file(folder: &std::path::Path, name: &str) -> PathBuf {
    folder.join(name)
}

fn main() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
    match Command::parse() {
        Command::Load(args) => load::run(&args),
        Command::Report(args) => report::run(&args),
    }
}
