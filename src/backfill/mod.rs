//! Floor 6: filling rows that exist, a chunk at a time.

mod pace;
mod runner;

pub use pace::{Pace, next_size};
pub use runner::{ChunkEvent, FillError, FillJob, fill};
