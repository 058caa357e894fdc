//! How a run ends: an interface.

use std::process::ExitCode;

/// How a run ended: one table for every verb, in `docs/exit-codes.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done, passed, or nothing to do.
    Done = 0,
    /// A bug in zdmig.
    Bug = 1,
    /// The command line, the configuration or a file.
    Usage = 2,
    /// The database cannot be reached.
    Unreachable = 3,
    /// The plan is refused, or has hazards that are not allowed.
    Refused = 10,
    /// The gate refuses.
    GateRefuse = 11,
    /// The gate does not know.
    GateUnknown = 12,
    /// The plan, a file or the schema is not what it was.
    Drift = 13,
    /// Another zdmig is at work, or a lock was not to be had.
    Busy = 14,
    /// A step failed; the same command goes on from there.
    StepFailed = 15,
    /// A brownout made a statement fail, and was ended.
    Tripped = 16,
    /// Work is pending, where that was asked, or the time for it was over.
    Pending = 20,
    /// Interrupted at a safe point.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    const ALL: [Self; 13] = [
        Self::Done,
        Self::Bug,
        Self::Usage,
        Self::Unreachable,
        Self::Refused,
        Self::GateRefuse,
        Self::GateUnknown,
        Self::Drift,
        Self::Busy,
        Self::StepFailed,
        Self::Tripped,
        Self::Pending,
        Self::Interrupted,
    ];

    /// What it means, and what to do then.
    fn card(self) -> (&'static str, &'static str) {
        match self {
            Self::Done => ("done, passed, or nothing to do", ""),
            Self::Bug => ("a bug in zdmig", "report it, with what it printed"),
            Self::Usage => (
                "the command line, the configuration or a file cannot be used; or stdout takes nothing",
                "as the message says",
            ),
            Self::Unreachable => (
                "the database cannot be reached, or the connection was lost",
                "run the same command again",
            ),
            Self::Refused => (
                "the plan is refused, has a hazard that the file does not allow, or was approved by too few; `apply \
                 --window`: it does not fit; `rehearse`: a budget is broken; `doctor --deploy --exit-code`: something \
                 is to be changed",
                "as the answer says",
            ),
            Self::GateRefuse => (
                "the gate refuses, or `can-deploy` and `heartbeat` refuse a version: a fact speaks against it",
                "deal with the reasons",
            ),
            Self::GateUnknown => (
                "the gate does not know: something is missing, stale or not understood",
                "supply what is missing",
            ),
            Self::Drift => (
                "drift: the plan is stale, a file was changed after it was run, or the schema is not what the \
                 plan expects; or a version came to life between the gate's verdict and the lock, and nothing \
                 was taken away",
                "put back what was changed, or plan again; let that version end",
            ),
            Self::Busy => (
                "busy: another zdmig holds the run lock, the time for a lock is spent, or `wait` waited in vain",
                "try again, or give it longer",
            ),
            Self::StepFailed => (
                "a step failed and is written down; the message gives the command that goes on",
                "mend the cause, run that command",
            ),
            Self::Tripped => (
                "`brownout`: a statement failed by it, and what was away is back",
                "find who sends it",
            ),
            Self::Pending => (
                "`status --exit-code`, `plan --exit-code`: work is pending; `status --max-open-days`: a \
                 migration has been open for longer; `backfill --until`, `--max-duration`, `apply --window`: \
                 the time is up, and something is left",
                "the same command goes on",
            ),
            Self::Interrupted => ("interrupted at a safe point", "the same command goes on"),
        }
    }

    /// Codes that answer a question rather than report trouble: they go to stdout.
    pub(super) fn is_answer(self) -> bool {
        matches!(self, Self::Refused | Self::GateRefuse | Self::GateUnknown | Self::Drift)
    }
}

/// The codes as a table, for the docs.
pub fn render_exit_codes() -> String {
    let row = |exit: Exit| {
        let (means, then) = exit.card();
        let then = if then.is_empty() { String::new() } else { format!("{then} ") };
        format!("| {} | {means} | {then}|\n", exit as u8)
    };
    let rows: String = Exit::ALL.map(row).concat();
    format!("| code | means | what to do |\n|---|---|---|\n{rows}")
}
