use serde::{Deserialize, Serialize};

/// The product and version that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The product's own name for itself.
    pub product: String,
    /// The version as the server prints it.
    pub version: String,
    /// Major and minor, for comparing.
    pub number: (u32, u32),
}

impl Server {
    /// Whether the server is at least of that version.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        self.number >= (major, minor)
    }
}
