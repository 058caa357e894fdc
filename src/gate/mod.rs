//! Floor 6: which versions can still run × what each of them uses. Fails closed: what is
//! missing, stale or not understood is UNKNOWN, and only a PASS makes a permit.

mod admission;
mod evidence;
mod inside;
mod inventory;
mod judge;
mod overrule;
mod policy;
mod runtime;
mod trust;
mod usage;
mod verdict;

pub use admission::{Newcomer, admit};
pub use evidence::{By, Evidence, Seen, Sight, State, collect};
pub(crate) use inventory::nginx_words;
pub use inventory::{Cluster, Inventory, Label, Source, SourceKind, take_stock};
pub use judge::{Question, cleared, judge, nobody_at_work};
pub use overrule::{Asked, Override, OverrideError, VerdictId, overrule};
pub use policy::{Consumer, GatePolicy, Waiver};
pub use runtime::{Ran, Window, sample, window};
pub use trust::Trust;
pub use usage::{
    Collector, Explained, Found, Item, Language, Reader, Schema, Statement, Usage, UsageError, Way,
    scan,
};
pub use verdict::{Permit, Reason, Severity, Verdict, VersionLine};
