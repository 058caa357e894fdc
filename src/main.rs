//! The program: parse, run, and give back an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    zdmig::cli::main()
}
