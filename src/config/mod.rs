//! Floor 8: where each setting comes from.

mod env;
mod file;
mod settings;

pub use env::{VARIABLES, Variable};
pub use file::{ConfigError, ConfigFile};
pub use settings::{Flags, Origin, Setting, Settings};
