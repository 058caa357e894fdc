use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A hash that names a value: the same bytes, the same fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a value's canonical JSON.
    pub fn of(value: &impl Serialize) -> Self {
        // Our own types with string keys cannot fail to serialise; if one ever did, its
        // error text would make a fingerprint that equals no other.
        let bytes = serde_json::to_vec(value).unwrap_or_else(|error| error.to_string().into());
        Self(format!("{:x}", Sha256::digest(bytes)))
    }

    /// Takes a fingerprint back from where it was stored.
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All of it, in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits: enough for names and for people.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
