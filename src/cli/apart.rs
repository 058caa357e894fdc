//! A verb on a thread and a runtime of its own, for a caller that is no process: it may have an
//! executor of another kind, and a verb's future stays on its thread.

use tokio_util::sync::CancellationToken;

use super::failure::{Exit, Failure};
use super::{Cli, dispatch, runtime};
use crate::migration::SourceFile;
use crate::report::{Format, Reporter};

/// What a verb works on that its command line does not say.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Migrations that are part of the program.
    pub(super) embedded: Option<Vec<SourceFile>>,
    /// One schema of several.
    pub(super) schema: Option<String>,
}

/// How a verb ended, and what it would have printed.
pub(super) struct Ended {
    pub(super) outcome: Result<Exit, Failure>,
    pub(super) product: String,
}

/// Runs a command line to its end. Where the future is dropped nobody hears of it any more; whoever
/// drops it cancels.
pub(super) async fn apart(
    cli: Cli,
    scope: Scope,
    format: Format,
    narration: impl FnMut(&str) + Send + 'static,
    cancel: &CancellationToken,
) -> Ended {
    let (tell, told) = tokio::sync::oneshot::channel();
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        let mut reporter = Reporter::keeping(format, narration);
        let outcome = match runtime() {
            Ok(runtime) => {
                let outcome = runtime.block_on(dispatch(cli, scope, &mut reporter, &cancel));
                runtime.shutdown_background();
                outcome
            }
            Err(error) => {
                Err(Failure::new(Exit::Bug, format!("the runtime does not start: {error}")))
            }
        };
        // Nobody may listen any more.
        let _ = tell.send(Ended { outcome, product: reporter.into_kept() });
    });
    told.await.unwrap_or_else(|_| Ended {
        outcome: Err(Failure::new(Exit::Bug, "a thread of ours panicked")),
        product: String::new(),
    })
}
