//! Completions and man pages, generated from the command line's own definition.

use std::path::PathBuf;

use clap_complete::Shell;

use super::failure::{Exit, Failure};
use crate::report::Reporter;

/// Print the completions for a shell
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write a man page for every verb into a folder
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The folder
    #[arg(default_value = "man")]
    folder: PathBuf,
}

pub(super) fn completions(
    args: &CompletionsArgs,
    mut command: clap::Command,
    reporter: &mut Reporter,
) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "zdmig", &mut text);
    reporter.product(&String::from_utf8_lossy(&text));
    Exit::Done
}

pub(super) fn man(
    args: &ManArgs,
    command: &clap::Command,
    reporter: &mut Reporter,
) -> Result<Exit, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("cannot write into `{}`: {error}", args.folder.display()))
    };
    std::fs::create_dir_all(&args.folder).map_err(cannot)?;
    clap_mangen::generate_to(command.clone(), &args.folder).map_err(cannot)?;
    reporter.product(&format!("{}\n", args.folder.display()));
    Ok(Exit::Done)
}
