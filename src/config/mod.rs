//! Floor 8: where each setting comes from.

mod env;
mod file;
mod limits;
mod policy;
mod reference;
mod secret;
mod settings;
mod sources;

pub use env::{VARIABLES, Variable};
pub use file::{ConfigError, ConfigFile};
pub use limits::{LimitEntry, read_limits};
pub use reference::{SETTINGS, SettingCard, render_settings, render_variables};
pub use secret::Secret;
pub use settings::{Flags, Origin, Setting, Settings};
