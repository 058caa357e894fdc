//! Floor 7: a migration before its time, on a database that is thrown away: an application's statements at a
//! fixed rate, and what they felt in each phase. It knows the statements and the figures; the phases
//! themselves are run by an engine.

mod figures;
mod guess;
mod load;
mod record;
mod script;

pub use figures::{Budget, Mark, Seen, Strained, phases};
pub use guess::{Guess, guesses};
pub use load::{Load, LoadOrder};
pub use record::{Broken, Fill, PhaseFigures, Rehearsal, Second, StepLocks, WayBack, Workload};
pub use script::{Fresh, Script, ScriptError, Source};
