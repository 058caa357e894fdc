//! Which versions can run, as those say it that run them. Each source fails closed: what does not
//! answer, or not wholly, is a gap.

mod exec;
mod http;
mod kubernetes;
mod nginx;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::process::Command;

use super::evidence::State;
use super::policy::GatePolicy;
pub use kubernetes::{Cluster, Label};
pub(crate) use nginx::words as nginx_words;

/// Where a consumer's versions are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// What is asked.
    pub kind: SourceKind,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How old an answer may be that says when it was true.
    pub max_age: Duration,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A program that prints JSON.
    Exec(Vec<String>),
    /// `kubectl`.
    Kubernetes(Cluster),
    /// Each instance's own address, and where in its JSON the version stands.
    Http {
        /// One for each instance.
        urls: Vec<String>,
        /// A JSON pointer.
        pointer: String,
    },
    /// Every server that a proxy's files name, in the same way.
    Nginx {
        /// The files, of all colours.
        files: Vec<PathBuf>,
        /// The `upstream` block; all without one.
        upstream: Option<String>,
        /// What to ask each server for.
        path: String,
        /// A JSON pointer.
        pointer: String,
    },
}

/// A version that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// How it may be at work.
    pub state: State,
    /// Where it was seen.
    pub how: String,
}

/// What the sources of all consumers said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every version that was seen.
    pub seen: Vec<Sighting>,
    /// What did not answer, or not wholly.
    pub gaps: Vec<String>,
}

/// Asks every source of every consumer, all at once. `now` is the time by which answers are old.
pub async fn take_stock(policy: &GatePolicy, now: DateTime<Utc>) -> Inventory {
    let mut asked = tokio::task::JoinSet::new();
    for consumer in &policy.consumers {
        for source in &consumer.sources {
            let (name, source) = (consumer.name.clone(), source.clone());
            asked.spawn(async move {
                let answer = tokio::time::timeout(source.timeout, ask(&name, &source, now)).await;
                let late = || {
                    let time = humantime::format_duration(source.timeout);
                    Err(format!("{} did not answer within {time}", source.words()))
                };
                (name, answer.unwrap_or_else(|_| late()))
            });
        }
    }
    let mut inventory = Inventory::default();
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok((_, Ok(seen))) => inventory.seen.extend(seen),
            Ok((name, Err(why))) => inventory.gaps.push(format!("of `{name}`: {why}")),
            Err(error) => inventory.gaps.push(format!("a source broke off: {error}")),
        }
    }
    inventory
        .seen
        .sort_by(|a, b| (&a.service, &a.version, &a.how).cmp(&(&b.service, &b.version, &b.how)));
    inventory.gaps.sort();
    inventory
}

async fn ask(name: &str, source: &Source, now: DateTime<Utc>) -> Result<Vec<Sighting>, String> {
    match &source.kind {
        SourceKind::Exec(command) => {
            let said = run(command).await?;
            exec::read(&said, name, now, source.max_age)
                .map_err(|error| format!("{} {error}", source.words()))
        }
        SourceKind::Kubernetes(cluster) => {
            let mut seen = Vec::new();
            for command in cluster.commands() {
                let said = run(&command).await?;
                let read = kubernetes::read(&said, name, cluster);
                seen.extend(read.map_err(|error| format!("{} {error}", source.words()))?);
            }
            Ok(seen)
        }
        SourceKind::Http { urls, pointer } => http::ask(name, urls, pointer, source.timeout).await,
        SourceKind::Nginx { files, upstream, path, pointer } => {
            let urls = nginx::addresses(files, upstream.as_deref(), path)?;
            http::ask(name, &urls, pointer, source.timeout).await
        }
    }
}

impl Source {
    fn words(&self) -> String {
        match &self.kind {
            SourceKind::Exec(command) => {
                format!("`{}`", command.first().map_or("", String::as_str))
            }
            SourceKind::Kubernetes(cluster) => format!("`{}`", cluster.kubectl),
            SourceKind::Http { .. } => "its addresses".into(),
            SourceKind::Nginx { .. } => "a server of its proxy".into(),
        }
    }
}

/// What a program prints, where it says that it went well.
async fn run(command: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = command.split_first() else {
        return Err("there is no command to run".into());
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("`{program}` does not run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        return Err(format!("`{program}` ended with {}, and said: {line}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{program}` does not print text"))
}
