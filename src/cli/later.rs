use super::failure::{Exit, Failure};
use crate::report::Reporter;

/// For what is asked for again and again: a schedule.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct TryArgs {
    /// End with 0 where it cannot be done now and will be asked for again: the gate does not pass, another
    /// zdmig is at work, a lock is not to be had, the time is up
    #[arg(long = "try")]
    pub(super) tries: bool,
}

/// The outcome of a verb that was only tried.
pub(super) fn tried(
    outcome: Result<Exit, Failure>,
    reporter: &mut Reporter,
) -> Result<Exit, Failure> {
    match outcome {
        Ok(Exit::GateRefuse | Exit::GateUnknown | Exit::Busy | Exit::Pending) => {
            reporter.narrate("not now; it was only tried");
            Ok(Exit::Done)
        }
        Err(failure) if matches!(failure.exit(), Exit::Busy | Exit::Pending) => {
            reporter.narrate(&format!("not now; it was only tried: {}", failure.message()));
            Ok(Exit::Done)
        }
        outcome => outcome,
    }
}
