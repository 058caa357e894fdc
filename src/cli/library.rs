//! The verbs for a program that has zdmig as a crate: the same code, without a process.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::Cli;
use super::apart::{Scope, apart};
use super::failure::Exit;
use crate::migration::{LoadError, MigrationId, SourceFile};
use crate::plan::Phase;
use crate::report::Format;

/// zdmig in a program of yours, most often to expand when it starts.
///
/// Settings come from the same places as for the program `zdmig`: what is given here, the
/// environment, `zdmig.toml`. Nothing is written to a stream; what goes on is told to `tracing`.
/// Each call works on a thread of its own, under any executor; where its future is dropped, it stops
/// at the next safe point.
///
/// ```no_run
/// # async fn start() -> Result<(), zdmig::Failed> {
/// let zdmig = zdmig::Zdmig::new("postgres://app@db/shop").migrations("migrations");
/// for done in zdmig.expand().await? {
///     println!("{} is {}", done.migration, done.state);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Zdmig {
    database_url: String,
    arguments: Vec<String>,
    embedded: Option<Vec<SourceFile>>,
    wait: Duration,
}

/// A migration that a phase was run for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Phased {
    /// The migration.
    pub migration: String,
    /// Where it stands now: `expanded`, `ready`, `done`, …
    pub state: String,
    /// Steps that were run just now.
    pub steps: u64,
    /// Rows that they changed.
    pub rows: u64,
}

/// Why something was not done.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{message}")]
#[non_exhaustive]
pub struct Failed {
    /// The code with which the program `zdmig` would have ended.
    pub code: u8,
    /// What it says. Holds no secret.
    pub message: String,
    /// What to do next.
    pub next: Vec<String>,
    /// The answer, where it is one: the verdict of a gate that did not pass.
    pub answer: Option<Value>,
}

impl Failed {
    fn usage(message: String) -> Self {
        Self { code: Exit::Usage as u8, message, next: Vec::new(), answer: None }
    }
}

impl Zdmig {
    /// On the database of this address, with the migrations in the folder `migrations`.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            arguments: Vec::new(),
            embedded: None,
            wait: Duration::from_mins(1),
        }
    }

    /// With the migrations in this folder.
    #[must_use]
    pub fn migrations(self, folder: impl Into<PathBuf>) -> Self {
        self.with("--migrations", folder.into().display().to_string())
    }

    /// With migrations that are part of your program: names without `.sql`, and texts.
    ///
    /// # Errors
    /// When a name has no version, or two have the same one.
    pub fn embedded(mut self, files: &[(&str, &str)]) -> Result<Self, Failed> {
        let failed = |error: LoadError| Failed::usage(error.to_string());
        let mut sources = Vec::new();
        for (name, text) in files {
            let stem = name.trim_end_matches(".sql");
            if stem.contains('@') {
                let message = format!("`{name}`: an `@` stands before a schema's name");
                return Err(Failed::usage(message));
            }
            let id =
                MigrationId::from_stem(stem).map_err(|error| Failed::usage(error.to_string()))?;
            sources.push(SourceFile::new(id, (*name).to_owned(), text));
        }
        crate::migration::sorted(&mut sources).map_err(failed)?;
        self.embedded = Some(sources);
        Ok(self)
    }

    /// With this configuration file.
    #[must_use]
    pub fn config(self, file: impl Into<PathBuf>) -> Self {
        self.with("--config", file.into().display().to_string())
    }

    /// As this environment of the configuration.
    #[must_use]
    pub fn env(self, name: impl Into<String>) -> Self {
        self.with("--env", name.into())
    }

    /// How long to wait for another zdmig that is at work, 60 s where nothing is said: of ten
    /// instances that start at the same time one expands, and the others find it done.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = time;
        self
    }

    fn with(mut self, flag: &str, value: String) -> Self {
        self.arguments.push(format!("{flag}={value}"));
        self
    }

    /// Adds what the new code needs, of every migration that is pending.
    ///
    /// # Errors
    /// When a plan is refused, somebody is in the way, or the database fails; what was done stays
    /// done, and the same call goes on from there.
    pub async fn expand(&self) -> Result<Vec<Phased>, Failed> {
        self.phase("expand").await
    }

    /// Fills what was expanded.
    ///
    /// # Errors
    /// As [`expand`](Self::expand).
    pub async fn backfill(&self) -> Result<Vec<Phased>, Failed> {
        self.phase("backfill").await
    }

    /// Takes away what nobody uses, of every migration whose gate passes.
    ///
    /// # Errors
    /// As [`expand`](Self::expand), and where a gate does not pass; the answer has its reasons.
    pub async fn contract(&self) -> Result<Vec<Phased>, Failed> {
        self.phase("contract").await
    }

    /// Waits until every migration has this phase behind it. Takes no lock and writes nothing.
    ///
    /// # Errors
    /// When the time is over before.
    pub async fn wait_until(&self, phase: Phase, time: Duration) -> Result<(), Failed> {
        let past = match phase {
            Phase::Expand => "expanded",
            Phase::Backfill => "backfilled",
            Phase::Contract => "contracted",
            Phase::Purge => "purged",
        };
        let time = format!("{} ms", time.as_millis());
        self.run(&["wait", "--for", past, "--timeout", &time]).await.map(|_| ())
    }

    /// Where everything stands, as `zdmig status --format json` says it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn status(&self) -> Result<Value, Failed> {
        Ok(self.run(&["status"]).await?.pop().unwrap_or_default())
    }

    async fn phase(&self, verb: &str) -> Result<Vec<Phased>, Failed> {
        let wait = format!("{} ms", self.wait.as_millis());
        let answers = self.run(&[verb, "--wait", &wait]).await?;
        let mut found = Vec::new();
        for answer in answers {
            // Where the configuration names schemas, each has answers of its own.
            match answer["schemas"].as_array() {
                Some(schemas) => {
                    let each = schemas.iter().filter_map(|one| one["answers"].as_array());
                    found.extend(each.flatten().cloned());
                }
                None => found.push(answer),
            }
        }
        Ok(found.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
    }

    /// Runs a verb, and gives what it would have printed.
    async fn run(&self, verb: &[&str]) -> Result<Vec<Value>, Failed> {
        let url = format!("--database-url={}", self.database_url);
        let own = ["zdmig", "--format=json", &url].map(ToOwned::to_owned);
        let line = own.into_iter().chain(self.arguments.iter().cloned());
        let line = line.chain(verb.iter().map(|word| (*word).to_owned()));
        let cli = Cli::try_parse_from(line).map_err(|error| Failed::usage(error.to_string()))?;
        let cancel = CancellationToken::new();
        // Whoever drops us stops it at the next safe point.
        let _stop = cancel.clone().drop_guard();
        let scope = Scope { embedded: self.embedded.clone(), schema: None };
        let told = |text: &str| tracing::info!("{text}");
        let ended = apart(cli, scope, Format::Json, told, &cancel).await;
        let answers: Vec<Value> =
            ended.product.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        match ended.outcome {
            Ok(Exit::Done) => Ok(answers),
            Ok(exit) => Err(Failed {
                code: exit as u8,
                message: format!("`zdmig {}` ended with {}", verb[0], exit as u8),
                next: Vec::new(),
                answer: answers.into_iter().last(),
            }),
            Err(failure) => {
                let (exit, message, next) = failure.into_parts();
                Err(Failed { code: exit as u8, message, next, answer: None })
            }
        }
    }
}
