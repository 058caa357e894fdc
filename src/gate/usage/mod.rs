//! What a version uses: as it says itself in a manifest, and as its queries say.

mod collect;
mod explain;
mod manifest;
mod resolver;
mod scan;
mod schema;
mod statements;
mod tokens;

pub use collect::Collector;
pub use explain::{Explained, Reader, Way};
pub(in crate::gate) use manifest::Hit;
pub use manifest::{Item, Usage, UsageError};
pub use scan::{Found, Language, scan};
pub use schema::Schema;
pub use statements::Statement;
