use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Version;
use crate::dialect::{Client, SessionError};

/// What every row must hold: each application writes a row down once the database has said
/// that the write is done.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: Mutex<BTreeMap<i64, Row>>,
    times: Mutex<Vec<Statement>>,
}

/// What a row must hold.
#[derive(Clone, Debug)]
struct Row {
    value: Option<String>,
    seeded: bool,
}

/// A statement that an application ran.
#[derive(Clone, Copy, Debug)]
struct Statement {
    version: u8,
    phase: usize,
    took: Duration,
}

/// A row that does not hold what it must.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// The row.
    pub id: i64,
    /// What was acknowledged; `None` for a row that was deleted.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
}

impl Ledger {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<i64, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what a row held before any application came.
    pub fn seeded(&self, id: i64, value: String) {
        self.rows().insert(id, Row { value: Some(value), seeded: true });
    }

    /// Writes down what a row holds from now on.
    pub fn wrote(&self, id: i64, value: Option<String>) {
        self.rows().insert(id, Row { value, seeded: false });
    }

    /// What a reader must find in a row, if that is known. Of rows that nobody has written
    /// since the beginning only the old version knows: the new column may not be filled.
    pub fn expects(&self, id: i64, version: Version) -> Option<Option<String>> {
        let rows = self.rows();
        let row = rows.get(&id)?;
        (version == Version::Old || !row.seeded).then(|| row.value.clone())
    }

    /// Writes down how long a statement took.
    pub(super) fn took(&self, version: u8, phase: usize, took: Duration) {
        let statement = Statement { version, phase, took };
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(statement);
    }

    /// The times of a version's statements in a phase, in order.
    pub fn times(&self, version: u8, phase: usize) -> Vec<Duration> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = times.iter().filter(|one| one.version == version && one.phase == phase);
        let mut mine: Vec<_> = mine.map(|one| one.took).collect();
        mine.sort();
        mine
    }

    /// As [`Ledger::missing`], while applications are at work: a row that is being written
    /// differs for a moment, so only rows that differ every time are given.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn missing_meanwhile(
        &self,
        client: &mut dyn Client,
        column: &str,
    ) -> Result<Vec<Missing>, SessionError> {
        let mut missing = self.missing(client, column).await?;
        for _ in 0..5 {
            if missing.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
            let again = self.missing(client, column).await?;
            missing.retain(|one| again.iter().any(|other| other.id == one.id));
        }
        Ok(missing)
    }

    /// Every row that does not hold what was acknowledged, and every row that nobody wrote.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn missing(
        &self,
        client: &mut dyn Client,
        column: &str,
    ) -> Result<Vec<Missing>, SessionError> {
        let query = format!("SELECT id, {column} FROM users ORDER BY id");
        let mut found: BTreeMap<i64, Option<String>> = BTreeMap::new();
        for row in client.rows(&query, &[]).await? {
            let mut cells = row.into_iter();
            let id = cells.next().flatten().and_then(|text| text.parse().ok());
            found.insert(id.unwrap_or(-1), cells.next().flatten());
        }
        let mut missing = Vec::new();
        for (id, row) in self.rows().clone() {
            let found = found.remove(&id).flatten();
            if found != row.value {
                missing.push(Missing { id, expected: row.value, found });
            }
        }
        let unknown = found.into_iter().map(|(id, found)| Missing { id, expected: None, found });
        missing.extend(unknown);
        Ok(missing)
    }
}
