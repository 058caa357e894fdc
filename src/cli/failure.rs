use serde::Serialize;

pub(super) use super::exit::Exit;
use crate::config::ConfigError;
use crate::dialect::{SessionError, UrlError};
use crate::engine::EngineError;
use crate::journal::IllegalEntry;
use crate::migration::LoadError;
use crate::report::{Format, Reporter};
use crate::telemetry::Ending;

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
    hints: Vec<String>,
    /// Whether the run lock was not to be had.
    busy: bool,
    /// Whether there was nothing to do it to.
    idle: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    zdmig_answer: u32,
    exit: u8,
    message: &'a str,
    next: &'a [String],
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hints: Vec::new(), busy: false, idle: false }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(super) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted; the same command goes on from here")
    }

    /// Says that there was nothing to do it to: one of several schemas has it already, or not yet.
    #[must_use]
    pub(super) fn idle(mut self) -> Self {
        self.idle = true;
        self
    }

    pub(super) fn is_idle(&self) -> bool {
        self.idle
    }

    fn without_run_lock(mut self) -> Self {
        self.busy = true;
        self
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Whether another zdmig is at work, or could be as far as one can see through a pooler.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether the database did not answer, or did not let us in.
    pub(super) fn is_unreachable(&self) -> bool {
        self.exit == Exit::Unreachable
    }

    /// How it is told to machines.
    pub(super) fn ending(&self) -> Ending<'_> {
        match self.exit {
            Exit::Interrupted | Exit::Pending => Ending::Stopped(&self.message),
            _ => Ending::Failed(&self.message),
        }
    }

    /// The code.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// Taken apart, for a caller that is no person: the code, what it says, what to do next.
    pub(super) fn into_parts(self) -> (Exit, String, Vec<String>) {
        (self.exit, self.message, self.hints)
    }

    /// What it says first.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Names the command that goes on, where the failure can be gone on from.
    #[must_use]
    pub(super) fn resumed_by(self, command: &str) -> Self {
        let resumable = matches!(
            self.exit,
            Exit::StepFailed | Exit::Busy | Exit::Unreachable | Exit::Interrupted | Exit::Pending
        );
        if resumable { self.hint(format!("go on with: {command}")) } else { self }
    }

    /// Writes it where it belongs, and gives the code.
    pub(super) fn tell(self, reporter: &mut Reporter) -> Exit {
        if self.exit.is_answer() {
            if reporter.format() == Format::Json {
                reporter.json(&Answer {
                    zdmig_answer: 1,
                    exit: self.exit as u8,
                    message: &self.message,
                    next: &self.hints,
                });
            } else {
                let mut text = format!("{}\n", self.message);
                for hint in &self.hints {
                    text.push_str(&format!("next: {hint}\n"));
                }
                reporter.product(&text);
            }
            return self.exit;
        }
        if matches!(self.exit, Exit::Interrupted | Exit::Pending) {
            reporter.narrate(&self.message);
        } else {
            reporter.error(&self.message);
        }
        for hint in &self.hints {
            reporter.hint(hint);
        }
        self.exit
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<UrlError> for Failure {
    fn from(error: UrlError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<IllegalEntry> for Failure {
    fn from(error: IllegalEntry) -> Self {
        Self::new(Exit::Drift, error.to_string())
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let message = error.to_string();
        match error {
            SessionError::Unreachable { .. } => Self::new(Exit::Unreachable, message)
                .hint("check --database-url, that the server runs, and the password; then run the same command again"),
            SessionError::Pooled { .. } => Self::new(Exit::Unreachable, message).hint(
                "give the server's own address; only `zdmig backfill --join` may go through a pooler",
            ).without_run_lock(),
            SessionError::Lost { .. } => Self::new(Exit::Unreachable, message)
                .hint("nothing is lost; run the same command again"),
            SessionError::Busy { .. } => {
                Self::new(Exit::Busy, message).hint("wait for it with `--wait 60s`").without_run_lock()
            }
            SessionError::Fenced => Self::new(Exit::Busy, message)
                .hint("see `zdmig status`, then run the same command again"),
            SessionError::LockTimeout { .. } => Self::new(Exit::Busy, message)
                .hint("let that transaction end, then run the same command again"),
            SessionError::Denied { .. } => Self::new(Exit::StepFailed, message).hint(
                "the role lacks a privilege; to read what zdmig keeps it needs USAGE on the schema \
                 `zdmig` and SELECT on its tables",
            ),
            SessionError::Failed { .. } => Self::new(Exit::StepFailed, message),
            SessionError::Entered { .. } => Self::new(Exit::Drift, message)
                .hint("`zdmig gate` tells more of it; let it end, then run the same command again"),
            SessionError::Journal(_) | SessionError::Bookkeeping { .. } => {
                Self::new(Exit::Drift, message)
            }
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Interrupted => Self::interrupted(),
            EngineError::TimeUp => Self::new(Exit::Pending, message),
            EngineError::Drift { .. } => Self::new(Exit::Drift, message)
                .hint("look at the schema; `zdmig plan ID` shows what is expected"),
            EngineError::TooEarly { migration, before, .. } => {
                Self::usage(message).hint(format!("zdmig {before} {migration}"))
            }
            EngineError::Irreversible { .. } => Self::new(Exit::Refused, message)
                .hint("write a new migration that brings back what is needed"),
            EngineError::Undoing { migration } => {
                Self::usage(message).hint(format!("finish it: zdmig rollback {migration}"))
            }
            EngineError::RestedOn { newer, .. } => Self::new(Exit::Refused, message)
                .hint(format!("take the newer one back first: zdmig rollback {newer}")),
            EngineError::WrongPermit => Self::new(Exit::Bug, message),
            EngineError::LockBudget { .. } => Self::new(Exit::Busy, message)
                .hint("end what holds the lock, or give it longer with --lock-wait-max"),
            EngineError::Premise { .. } => Self::new(Exit::Refused, message)
                .hint("mend those rows, or mend them in the same file before, then run the same command again"),
            EngineError::FailedRows { failed, most, .. } => {
                let how = if failed > most {
                    "mend what they have in common, or let more fail with --failed-max"
                } else {
                    "mend them, or what makes them fail"
                };
                Self::new(Exit::StepFailed, message).hint(format!(
                    "the bookkeeping's table of failed rows has them all; {how}, then run the same \
                     command again"
                ))
            }
            EngineError::Unproved { .. } => Self::new(Exit::StepFailed, message)
                .hint("mend those rows, then run the same command again"),
            EngineError::Undo { source, .. } if source.is_broken_rule() => {
                Self::new(Exit::StepFailed, message)
                    .hint("rows that were written since break it: mend them first")
            }
            EngineError::Step { .. } | EngineError::Undo { .. } => {
                Self::new(Exit::StepFailed, message)
            }
            EngineError::Session(error) => error.into(),
            EngineError::Journal(error) => error.into(),
        }
    }
}
