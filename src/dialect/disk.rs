//! How much room a disk has.

use std::path::Path;

use super::{Reading, Signal};

/// The free bytes of the disk that holds a path, as far as the system tells us.
pub(super) fn free(path: &Path) -> Option<Reading> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(reading(bytes(found.f_bavail, found.f_frsize), bytes(found.f_blocks, found.f_frsize)))
}

/// What is free of a disk of that size when so much of it is used.
pub(super) fn left(size: u64, used: u64) -> Reading {
    reading(float(size) - float(used), float(size))
}

fn reading(free: f64, size: f64) -> Reading {
    Reading { signal: Signal::FreeDisk, value: free, of: Some(size), whose: String::new() }
}

fn bytes(blocks: u64, size: u64) -> f64 {
    float(blocks) * float(size)
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a disk, not to the last one")]
fn float(value: u64) -> f64 {
    value as f64
}
