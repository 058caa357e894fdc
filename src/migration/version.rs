use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A migration's identity: the file's name without `.sql`, e.g. `20261123090000_rename_username`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MigrationId {
    version: String,
    name: String,
}

/// Why a file's name is no migration id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{stem}` does not start with a version: name it like `20261123090000_add_email.sql`")]
pub struct VersionError {
    /// The file's name without its ending.
    pub stem: String,
}

impl MigrationId {
    /// Reads an id from a file's name without its ending.
    ///
    /// # Errors
    /// When it does not begin with digits.
    pub fn from_stem(stem: &str) -> Result<Self, VersionError> {
        let digits = stem.find(|c: char| !c.is_ascii_digit()).unwrap_or(stem.len());
        let end = if dated(stem) { DATED.len() } else { digits };
        if end == 0 {
            return Err(VersionError { stem: stem.to_owned() });
        }
        let (version, name) = stem.split_at(end);
        Ok(Self { version: version.to_owned(), name: name.to_owned() })
    }

    /// The digits in front; they order the migrations as a number.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The version without its leading zeros, which two files must not share.
    pub fn number(&self) -> &str {
        self.version.trim_start_matches('0')
    }

    /// Whether `short` may stand for this id: a beginning of it, or of the name after its
    /// version; the file's ending may be there too.
    pub fn matches(&self, short: &str) -> bool {
        let short = short.trim_end_matches(".sql");
        !short.is_empty()
            && (self.to_string().starts_with(short)
                || self.name.trim_start_matches(['_', '-']).starts_with(short))
    }
}

/// A date and a time with dashes between, as some runners name their folders.
const DATED: &str = "0000-00-00-000000";

fn dated(stem: &str) -> bool {
    let shape = |(c, like): (char, char)| if like == '-' { c == '-' } else { c.is_ascii_digit() };
    stem.len() >= DATED.len() && stem.chars().zip(DATED.chars()).all(shape)
}

impl Ord for MigrationId {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.number(), other.number());
        a.len().cmp(&b.len()).then_with(|| a.cmp(b)).then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for MigrationId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.version, self.name)
    }
}

impl TryFrom<String> for MigrationId {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        Self::from_stem(&text)
    }
}

impl From<MigrationId> for String {
    fn from(id: MigrationId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_as_numbers() {
        let mut ids: Vec<_> = ["10_b", "9_a", "0010_a", "20261123090000_c"]
            .map(|stem| MigrationId::from_stem(stem).expect("valid"))
            .to_vec();
        ids.sort();
        let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["9_a", "0010_a", "10_b", "20261123090000_c"]);
    }

    #[test]
    fn a_date_with_dashes_is_a_version() {
        let id = MigrationId::from_stem("2018-01-18-174843_create_readme").expect("valid");
        assert_eq!(id.version(), "2018-01-18-174843");
        let later = MigrationId::from_stem("2018-01-18-174844_a").expect("valid");
        assert!(id < later);
    }

    #[test]
    fn an_id_may_be_shortened() {
        let id = MigrationId::from_stem("20261123090000_rename_username").expect("valid");
        for short in ["2026", "rename", "20261123090000_rename_username.sql", "rename_username"] {
            assert!(id.matches(short), "{short}");
        }
        assert!(!id.matches("username") && !id.matches(""));
    }

    #[test]
    fn a_name_without_a_version_is_refused() {
        assert!(MigrationId::from_stem("rename").is_err());
    }
}
