//! Other migration runners: what their tables say was run. Each fact is from the runner's own
//! source, and tested with a table that it wrote.

use std::hash::Hash;

use sha2::{Digest, Sha384};
use siphasher::sip::SipHasher13;

use super::{MigrationId, SourceFile};

/// A migration runner whose table tells what was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// `sqlx migrate`.
    Sqlx,
    /// `refinery`.
    Refinery,
    /// `diesel migration`.
    Diesel,
    /// `dbmate`.
    Dbmate,
    /// `goose`.
    Goose,
    /// Flyway.
    Flyway,
}

/// A row of such a table, every value as text: bytes in hexadecimal, a boolean as `true` or `1`.
pub type Row = Vec<Option<String>>;

/// What a runner's table says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// What was run, in the table's order.
    pub ran: Vec<Ran>,
    /// Everything up to this version was there before that runner came.
    pub baseline: Option<String>,
    /// Rows that are no migration with a version.
    pub others: Vec<String>,
}

/// A migration that was run, or was tried.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its version as the runner wrote it.
    pub version: String,
    /// Whether it was run to its end.
    pub whole: bool,
    /// What the runner wrote down of its text.
    sum: Option<Sum>,
}

/// What a runner writes down of a text.
#[derive(Debug, PartialEq, Eq)]
enum Sum {
    /// SHA-384 of its bytes, in hexadecimal.
    Sha384(String),
    /// SipHash 1-3 of its name, version and text.
    Sip(String),
    /// CRC-32 of its lines without their ends, as a signed number.
    Crc32(String),
}

impl Runner {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sqlx, Self::Refinery, Self::Diesel, Self::Dbmate, Self::Goose, Self::Flyway];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlx => "sqlx",
            Self::Refinery => "refinery",
            Self::Diesel => "diesel",
            Self::Dbmate => "dbmate",
            Self::Goose => "goose",
            Self::Flyway => "flyway",
        }
    }

    /// The table that it keeps, where nobody named another.
    pub fn table(self) -> &'static str {
        match self {
            Self::Sqlx => "_sqlx_migrations",
            Self::Refinery => "refinery_schema_history",
            Self::Diesel => "__diesel_schema_migrations",
            Self::Dbmate => "schema_migrations",
            Self::Goose => "goose_db_version",
            Self::Flyway => "flyway_schema_history",
        }
    }

    /// The columns that are read, in this order; rows are ordered by the first.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Sqlx => &["version", "success", "checksum"],
            Self::Refinery => &["version", "checksum"],
            Self::Diesel | Self::Dbmate => &["version"],
            Self::Goose => &["id", "version_id", "is_applied"],
            Self::Flyway => &["installed_rank", "version", "success", "checksum", "type", "script"],
        }
    }

    /// What its rows say.
    pub fn read(self, rows: Vec<Row>) -> Log {
        let mut log = Log::default();
        for row in rows {
            let text = |at: usize| row.get(at).cloned().flatten();
            let yes = |at| matches!(text(at).as_deref(), Some("true" | "t" | "1"));
            let ran =
                |at: usize, whole, sum| Ran { version: text(at).unwrap_or_default(), whole, sum };
            match self {
                Self::Sqlx => log.ran.push(ran(0, yes(1), text(2).map(Sum::Sha384))),
                Self::Refinery => log.ran.push(ran(0, true, text(1).map(Sum::Sip))),
                Self::Diesel | Self::Dbmate => log.ran.push(ran(0, true, None)),
                // Its table begins with a version 0 that is no file. The newest row of a version
                // decides.
                Self::Goose if text(1).as_deref() == Some("0") => {}
                Self::Goose => log.take(ran(1, true, None), yes(2)),
                Self::Flyway => log.take_flyway(&text, ran(1, yes(2), text(3).map(Sum::Crc32))),
            }
        }
        log
    }
}

impl Log {
    /// A row that makes those before it of its version void.
    fn take(&mut self, ran: Ran, stands: bool) {
        self.ran.retain(|one| one.version != ran.version);
        if stands {
            self.ran.push(ran);
        }
    }

    fn take_flyway(&mut self, text: &impl Fn(usize) -> Option<String>, ran: Ran) {
        let kind = text(4).unwrap_or_default();
        match kind.as_str() {
            "SCHEMA" => {}
            _ if text(1).is_none() => self.others.push(text(5).unwrap_or(kind)),
            "BASELINE" | "SQL_BASELINE" => self.baseline = Some(ran.version),
            "DELETE" => self.take(ran, false),
            _ if kind.starts_with("UNDO") => self.take(ran, false),
            _ => self.take(ran, true),
        }
    }

    /// The row of a file, where it was run.
    pub fn of(&self, id: &MigrationId) -> Option<&Ran> {
        self.ran.iter().find(|ran| id.is_version(&ran.version))
    }

    /// Whether a file was run, or was there before that runner came.
    pub fn holds(&self, id: &MigrationId) -> bool {
        self.of(id).is_some() || self.baseline.as_ref().is_some_and(|to| id.is_up_to(to))
    }
}

impl Ran {
    /// Whether a file is what was run, as far as the runner wrote that down.
    pub fn fits(&self, file: &SourceFile) -> bool {
        match &self.sum {
            None => true,
            Some(Sum::Sha384(sum)) => {
                sum.eq_ignore_ascii_case(&format!("{:x}", Sha384::digest(file.text.as_bytes())))
            }
            Some(Sum::Sip(sum)) => sips(file, &self.version).iter().any(|one| one == sum),
            Some(Sum::Crc32(sum)) => *sum == crc32_of_lines(&file.text),
        }
    }
}

/// Hashed as Rust hashes: a text is its bytes and 0xff. The version has 32 bits, or 64 where the
/// runner was built for them.
fn sips(file: &SourceFile, version: &str) -> Vec<String> {
    let Ok(version) = version.parse::<i64>() else { return Vec::new() };
    let id = file.id.to_string();
    let name = id.split_once("__").map_or(id.as_str(), |(_, name)| name);
    let hashed = |version: &dyn Fn(&mut SipHasher13)| {
        let mut hasher = SipHasher13::new();
        name.hash(&mut hasher);
        version(&mut hasher);
        file.text.as_ref().hash(&mut hasher);
        std::hash::Hasher::finish(&hasher).to_string()
    };
    let short = i32::try_from(version).ok();
    let short = short.map(|version| hashed(&|hasher| version.hash(hasher)));
    short.into_iter().chain([hashed(&|hasher| version.hash(hasher))]).collect()
}

fn crc32_of_lines(text: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    // A lone `\r` ends a line too.
    for line in text.replace("\r\n", "\n").replace('\r', "\n").lines() {
        hasher.update(line.as_bytes());
    }
    hasher.finalize().cast_signed().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[&str]) -> Row {
        values.iter().map(|value| (*value != "-").then(|| (*value).to_owned())).collect()
    }

    fn versions(log: &Log) -> Vec<&str> {
        log.ran.iter().map(|ran| ran.version.as_str()).collect()
    }

    #[test]
    fn the_newest_row_of_a_version_decides() {
        let rows = ["1 0 true", "2 1 true", "3 2 true", "4 2 false", "5 3 true", "6 1 true"];
        let rows = rows.map(|text| row(&text.split(' ').collect::<Vec<_>>())).to_vec();
        let log = Runner::Goose.read(rows);
        assert_eq!(versions(&log), ["3", "1"]);
    }

    #[test]
    fn rows_of_flyway_are_of_many_kinds() {
        let log = Runner::Flyway.read(vec![
            row(&["1", "1", "true", "-", "BASELINE", "<< Flyway Baseline >>"]),
            row(&["2", "2", "true", "7", "SQL", "V2__a.sql"]),
            row(&["3", "-", "true", "8", "SQL", "R__view.sql"]),
            row(&["4", "3", "false", "9", "SQL", "V3__b.sql"]),
            row(&["5", "2", "true", "7", "UNDO_SQL", "U2__a.sql"]),
        ]);
        assert_eq!((versions(&log), log.baseline.as_deref()), (vec!["3"], Some("1")));
        assert!(!log.ran[0].whole);
        assert_eq!(log.others, ["R__view.sql"]);
        let id = |stem| MigrationId::from_stem(stem).expect("valid");
        assert!(log.holds(&id("V0.9__x")) && log.holds(&id("V1__x")) && !log.holds(&id("V2__a")));
    }

    #[test]
    fn line_ends_are_nothing_to_flyway() {
        assert_eq!(crc32_of_lines("a\r\nb\rc\n"), crc32_of_lines("a\nb\nc"));
        assert_ne!(crc32_of_lines("a\nb"), crc32_of_lines("a\nc"));
    }
}
