use std::borrow::Cow;
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
#[error("`{stem}` {}", wanted(stem))]
pub struct VersionError {
    /// The file's name without its ending.
    pub stem: String,
}

fn wanted(stem: &str) -> &'static str {
    if stem.contains('@') {
        "has an `@`, which stands before a schema's name: name the file without it"
    } else if stem.starts_with("R__") {
        "is run whenever it changes by another runner, which zdmig does not do: move it out of this \
         folder, and write a migration for each change"
    } else {
        "does not start with a version: name it like `20261123090000_add_email.sql`"
    }
}

impl MigrationId {
    /// Reads an id from a file's name without its ending.
    ///
    /// # Errors
    /// When it does not begin with digits, or a `V` and digits.
    pub fn from_stem(stem: &str) -> Result<Self, VersionError> {
        // A schema's name is none of the version's, whatever is in it.
        let file = stem.split_once('@').map_or(stem, |(file, _)| file);
        let digits = file.find(|c: char| !c.is_ascii_digit()).unwrap_or(file.len());
        let end = match file.strip_prefix(['V', 'v']).filter(|rest| starts_with_digit(rest)) {
            // `V1.2__name`: its version ends at two underscores.
            Some(_) => file.find("__").unwrap_or(file.len()),
            // A number of its own may follow the time: `2018-01-18-174843-0000_name`.
            None if dated(file) => file.find('_').unwrap_or(file.len()),
            None => digits,
        };
        let odd = |c: char| !c.is_ascii_hexdigit() && !['.', '_', '-'].contains(&c);
        let versions = file[..end].trim_start_matches(['V', 'v']);
        if versions.is_empty() || versions.contains(odd) {
            return Err(VersionError { stem: stem.to_owned() });
        }
        let (version, name) = stem.split_at(end);
        Ok(Self { version: version.to_owned(), name: name.to_owned() })
    }

    /// The same migration as it is run in one schema of several: `1_rename@tenant_a`.
    #[must_use]
    pub fn in_schema(&self, schema: &str) -> Self {
        Self { version: self.version.clone(), name: format!("{}@{schema}", self.name) }
    }

    /// The schema that it is run in, where it is run in several.
    pub fn schema(&self) -> Option<&str> {
        self.name.split_once('@').map(|(_, schema)| schema)
    }

    /// The digits in front; they order the migrations as a number.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether both have the same version, however many zeros it begins with: two files must not.
    pub fn shares_version(&self, other: &Self) -> bool {
        by_parts(&self.version, &other.version) == Ordering::Equal
    }

    /// Whether it has this version, as another runner writes it.
    pub fn is_version(&self, version: &str) -> bool {
        by_parts(&self.version, version) == Ordering::Equal
    }

    /// Whether its version is this one, as another runner writes it, or an earlier one.
    pub(super) fn is_up_to(&self, version: &str) -> bool {
        by_parts(&self.version, version) != Ordering::Greater
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

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// The numbers that a version consists of, without their leading zeros: one, but for `V1.2`. The
/// dashes of a date are none of it: `2018-01-18-174843` is 20180118174843.
fn parts(version: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let parts = version.trim_start_matches(['V', 'v']).split(['.', '_']);
    parts.map(|part| {
        if part.contains('-') {
            Cow::Owned(part.replace('-', "").trim_start_matches('0').to_owned())
        } else {
            Cow::Borrowed(part.trim_start_matches('0'))
        }
    })
}

/// By numbers, of which those that are missing count as 0.
fn by_parts(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        let (one, other) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (one, other) => (one.unwrap_or_default(), other.unwrap_or_default()),
        };
        let order = one.len().cmp(&other.len()).then_with(|| one.cmp(&other));
        if order != Ordering::Equal {
            return order;
        }
    }
}

impl Ord for MigrationId {
    fn cmp(&self, other: &Self) -> Ordering {
        by_parts(&self.version, &other.version)
            .then_with(|| self.name.cmp(&other.name))
            .then_with(|| self.version.cmp(&other.version))
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
        let ours = MigrationId::from_stem("20261129091153_a").expect("valid");
        assert!(later < ours);
        let counted = MigrationId::from_stem("2024-05-28-092515-0000_users").expect("valid");
        assert!(
            counted.is_version("202405280925150000") && counted.to_string().ends_with("_users")
        );
        let same = MigrationId::from_stem("V1__a").expect("valid");
        assert!(same.shares_version(&MigrationId::from_stem("V1.0__b").expect("valid")));
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
        for stem in ["rename", "R__view", "Version", "V", "Vx1__a", "V1x__a"] {
            assert!(MigrationId::from_stem(stem).is_err(), "{stem}");
        }
    }

    #[test]
    fn one_of_several_schemas_is_part_of_an_id() {
        let id = MigrationId::from_stem("1_rename").expect("valid");
        let there = id.in_schema("Tenant @ 7");
        assert_eq!(there.to_string(), "1_rename@Tenant @ 7");
        assert_eq!(MigrationId::from_stem("1_rename@Tenant @ 7"), Ok(there.clone()));
        assert_eq!((id.schema(), there.schema()), (None, Some("Tenant @ 7")));
        assert!(there.matches("1_ren") && there.matches("rename@Ten"));
        for stem in ["V1@t_1", "V1@a__b", "V1.2__x@1", "2018-01-18-174843_a@b"] {
            let id = MigrationId::from_stem(stem).expect("valid");
            assert_eq!((id.to_string().as_str(), id.schema()), (stem, stem.split('@').nth(1)));
        }
    }

    #[test]
    fn a_version_may_have_parts() {
        let id = |stem| MigrationId::from_stem(stem).expect("valid");
        let stems = ["V1__a", "V1.1__b", "v1_2__c", "V1.10__d", "V2__e", "20261123090000_f"];
        let mut ids: Vec<_> = stems.iter().rev().map(|stem| id(stem)).collect();
        ids.sort();
        assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), stems);
        assert!(
            id("V01__a").shares_version(&id("1_b")) && !id("V1.1__a").shares_version(&id("11_b"))
        );
        assert!(id("V1.0__a").is_version("1") && id("V1_1__a").is_version("1.1"));
        assert!(id("2018-01-18-174843_a").is_version("20180118174843"));
        assert!(id("V1.1__a").is_up_to("2") && !id("V10__a").is_up_to("2"));
        assert!(id("V1.1__add_note").matches("add_note"));
    }
}
