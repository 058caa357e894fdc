//! Floor 6: filling rows that exist, a chunk at a time.

mod brake;
mod pace;
mod rate;
mod runner;
mod worker;

pub use brake::{Brake, Limit, Limits};
pub use pace::{Pace, Sizer};
pub use runner::{ChunkEvent, FillError, FillJob, LimitsSource, fill, help};
