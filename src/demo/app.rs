use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use crate::dialect::{Client, DatabaseUrl, Dialect, Fact, SessionError, Value};

/// Which version of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Knows `username`.
    Old,
    /// Knows `email`.
    New,
}

impl Version {
    /// The version as it is deployed.
    pub fn number(self) -> u8 {
        match self {
            Self::Old => 1,
            Self::New => 2,
        }
    }

    /// The column it knows.
    pub fn column(self) -> &'static str {
        match self {
            Self::Old => "username",
            Self::New => "email",
        }
    }
}

/// One instance of the application.
#[derive(Clone)]
pub struct App {
    /// How to speak to the database.
    pub dialect: &'static dyn Dialect,
    /// Where it is.
    pub url: DatabaseUrl,
    /// The environment it runs in.
    pub env: String,
    /// Which version it is.
    pub version: Version,
    /// The memory of what must be there.
    pub ledger: Arc<Ledger>,
    /// The phase that is on, for the times.
    pub phase: Arc<AtomicUsize>,
    /// How many rows there were at the beginning, ids 1 to this.
    pub seeded: i64,
    /// The number of its first statement: a second instance must not make the same rows.
    pub first_turn: i64,
    /// The pause between two statements.
    pub pause: Duration,
}

/// An instance at work.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Done>,
}

/// What an instance did.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Statements it ran.
    pub statements: u64,
    /// Statements that failed.
    pub failed: u64,
    /// Reads that did not find what it had written.
    pub lost: u64,
    /// The first failure.
    pub first_error: Option<String>,
}

impl Done {
    /// Adds what another instance did.
    pub fn add(&mut self, other: Self) {
        self.statements += other.statements;
        self.failed += other.failed;
        self.lost += other.lost;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

impl Running {
    /// Lets it finish its statement and say goodbye.
    pub async fn drain(self) -> Done {
        self.stop.cancel();
        match self.task.await {
            Ok(done) => done,
            Err(error) => {
                Done { failed: 1, first_error: Some(error.to_string()), ..Done::default() }
            }
        }
    }
}

/// How often an instance tells that it is alive.
const BEAT: Duration = Duration::from_millis(500);

impl App {
    /// Starts it in a task of its own.
    pub fn start(self) -> Running {
        let stop = CancellationToken::new();
        let task = tokio::spawn(self.work(stop.clone()));
        Running { stop, task }
    }

    async fn work(self, stop: CancellationToken) -> Done {
        let mut done = Done::default();
        let instance = format!("{:?}", self.version).to_lowercase();
        let version = self.version.number().to_string();
        let name = format!("shop@{version}#{instance}");
        let mut attached = match self.dialect.attach(&self.url, &name).await {
            Ok(attached) => attached,
            Err(error) => {
                done.failed = 1;
                done.first_error = Some(error.to_string());
                return done;
            }
        };
        let fact = |alive: bool| {
            let (env, service, version, instance) =
                (self.env.as_str(), "shop", version.as_str(), instance.as_str());
            if alive {
                Fact::Alive { env, service, version, instance }
            } else {
                Fact::Gone { env, service, version, instance }
            }
        };
        let mut beat: Option<Instant> = None;
        let mut turn = self.first_turn;
        while !stop.is_cancelled() {
            if beat.is_none_or(|beat| beat.elapsed() > BEAT) {
                if let Err(error) = attached.observer.record(&fact(true)).await {
                    done.failed += 1;
                    done.first_error.get_or_insert(error.to_string());
                }
                beat = Some(Instant::now());
            }
            self.statement(turn, attached.client.as_mut(), &mut done).await;
            turn += 1;
            tokio::time::sleep(self.pause).await;
        }
        // An instance that stops says so; one that is killed is missed after a while.
        let _ = attached.observer.record(&fact(false)).await;
        done
    }

    /// Rows of this version only, so that what a row must hold is known to one writer. The
    /// old one has the even ids.
    fn mine(&self, n: i64) -> i64 {
        match self.version {
            Version::Old => n * 2,
            Version::New => n * 2 + 1,
        }
    }

    async fn statement(&self, turn: i64, client: &mut dyn Client, done: &mut Done) {
        let column = self.version.column();
        let phase = self.phase.load(Ordering::Relaxed);
        // A fixed walk that jumps about: the same rows in every run.
        let jump = turn.wrapping_mul(7_919);
        let old = self.mine(jump.rem_euclid((self.seeded / 2 - 1).max(1)) + 1);
        let new = self.mine(self.seeded + 1_000 * i64::from(self.version.number()) + turn / 7);
        let value = format!("{column} {turn} in {phase}");
        let text = Value::Text(&value);
        let begun = Instant::now();
        let outcome = match turn % 7 {
            0 => {
                let sql = format!("INSERT INTO users (id, {column}) VALUES ($1, $2)");
                self.write(client, &sql, &[Value::Int(new), text], new, Some(&value)).await
            }
            1 | 4 => {
                let sql = format!("UPDATE users SET {column} = $2 WHERE id = $1");
                self.write(client, &sql, &[Value::Int(old), text], old, Some(&value)).await
            }
            2 => {
                let sql = format!(
                    "INSERT INTO users (id, {column}) VALUES ($1, $2) \
                     ON CONFLICT (id) DO UPDATE SET {column} = excluded.{column}"
                );
                self.write(client, &sql, &[Value::Int(new), text], new, Some(&value)).await
            }
            5 if turn % 21 == 5 => {
                let sql = "DELETE FROM users WHERE id = $1";
                self.write(client, sql, &[Value::Int(new)], new, None).await
            }
            3 => self.read(client, column, old).await,
            _ => self.read(client, column, new).await,
        };
        done.statements += 1;
        self.ledger.took(self.version.number(), phase, begun.elapsed());
        match outcome {
            Ok(true) => {}
            Ok(false) => done.lost += 1,
            Err(error) => {
                done.failed += 1;
                done.first_error.get_or_insert(error.to_string());
            }
        }
    }

    async fn write(
        &self,
        client: &mut dyn Client,
        sql: &str,
        values: &[Value<'_>],
        id: i64,
        value: Option<&str>,
    ) -> Result<bool, SessionError> {
        let rows = client.run(sql, values).await?;
        self.ledger.wrote(id, value.map(ToOwned::to_owned));
        Ok(rows == 1)
    }

    async fn read(
        &self,
        client: &mut dyn Client,
        column: &str,
        id: i64,
    ) -> Result<bool, SessionError> {
        let query = format!("SELECT {column} FROM users WHERE id = $1");
        let rows = client.rows(&query, &[Value::Int(id)]).await?;
        let found = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        Ok(self.ledger.expects(id, self.version).is_none_or(|expected| expected == found))
    }
}
