use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::Deserialize;
use thiserror::Error;

use super::limits::{LimitEntry, is_known};
use super::reference::is_setting;

/// `zdmig.toml`, as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConfigFile {
    /// The environment when none is named.
    pub default_env: Option<String>,
    /// Values for every environment.
    #[serde(flatten)]
    pub common: Section,
    /// Values for one environment.
    pub env: BTreeMap<String, Section>,
    /// Everything that uses the database.
    pub consumer: Vec<ConsumerEntry>,
    /// Roles and functions that are let through by name.
    pub waive: Vec<WaiveEntry>,
    /// Hazards that are accepted in every migration.
    pub allow: Vec<AllowEntry>,
}

/// Values that an environment may have of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Section {
    /// The database; a secret is better kept in the environment.
    pub database_url: Option<String>,
    /// The folder of the migration files.
    pub migrations: Option<PathBuf>,
    /// `500ms`.
    pub lock_timeout: Option<String>,
    /// `10m`.
    pub lock_wait_max: Option<String>,
    /// `gentle`, `default` or `fast`.
    pub pace: Option<String>,
    /// `24h`.
    pub soak: Option<String>,
    /// `45s`.
    pub heartbeat_ttl: Option<String>,
    /// `2m`.
    pub drain: Option<String>,
    /// `10m`.
    pub verdict_ttl: Option<String>,
    /// `15m`: how long a brownout contract wants before it.
    pub require_brownout: Option<String>,
    /// Whether contract wants a window on what ran that shows everything.
    pub require_window: Option<bool>,
    /// `2`: how many people must have approved a plan.
    pub require_approval: Option<u32>,
    /// How many times the p99 from before a rehearsal's may be.
    pub max_p99_ratio: Option<f64>,
    /// `1s`: how long a request may wait for a lock in a rehearsal.
    pub max_lock_wait: Option<String>,
    /// How many requests may fail in a rehearsal.
    pub max_errors: Option<u64>,
    /// `26h`.
    pub min_observation: Option<String>,
    /// `1h`.
    pub min_age: Option<String>,
    /// `24h`.
    pub rollback_window: Option<String>,
    /// The addresses of replicas, or `env:NAME` for a variable that holds one.
    pub replicas: Option<Vec<String>>,
    /// The addresses of poolers' consoles, in the same way.
    pub poolers: Option<Vec<String>>,
    /// A folder of usage manifests.
    pub usage: Option<PathBuf>,
    /// Where the ends of phases are posted; a secret is better kept in the environment.
    pub webhook: Option<String>,
    /// `10m`.
    pub stalled_after: Option<String>,
    /// `127.0.0.1:9187` or `:9187`.
    pub metrics_listen: Option<String>,
    /// The last migration that `check` leaves alone.
    pub check_after: Option<String>,
    /// `tenant_*`: the schemas that a verb goes over.
    pub schemas: Option<String>,
    /// A folder of templates for new migrations.
    pub templates: Option<PathBuf>,
    /// What of the database holds a backfill back.
    pub limits: BTreeMap<String, LimitEntry>,
}

/// `[[consumer]]`.
#[derive(Clone, Debug, Deserialize)]
pub struct ConsumerEntry {
    /// The service's name.
    pub name: String,
    /// The roles it logs in as.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether it may be that no version of it runs.
    #[serde(default)]
    pub idle: bool,
    /// Whether its sessions need not name their version.
    #[serde(default)]
    pub unnamed_sessions: bool,
    /// `observed`: what it ran stands in for its manifest.
    #[serde(default)]
    pub usage: Option<String>,
    /// How often it runs, as `24h`.
    #[serde(default)]
    pub period: Option<String>,
    /// Publications and slots that it reads.
    #[serde(default)]
    pub streams: Vec<String>,
    /// Who is asked which versions of it run.
    #[serde(default)]
    pub source: Vec<SourceEntry>,
}

/// `[[consumer.source]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// `exec`, `kubernetes`, `http` or `nginx`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `exec`: the program and its arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// Of `kubernetes`: the program.
    pub kubectl: Option<String>,
    /// Of `kubernetes`: the context of its configuration.
    pub context: Option<String>,
    /// Of `kubernetes`: every namespace that holds the database's credentials.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Of `kubernetes`: which objects are the consumer's.
    pub selector: Option<String>,
    /// Of `kubernetes`: `label:KEY`, `annotation:KEY`, `env:NAME` or `image`; of `http` and `nginx`: a JSON pointer.
    pub version: Option<String>,
    /// Of `kubernetes`: whether Argo's rollouts are installed.
    #[serde(default)]
    pub rollouts: bool,
    /// Of `http`: the address of each instance.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Of `nginx`: the files that name its servers, of all colours.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Of `nginx`: the `upstream` block.
    pub upstream: Option<String>,
    /// Of `nginx`: what to ask each server for.
    pub path: Option<String>,
    /// How long it may take.
    pub timeout: Option<String>,
    /// How old its answer may be.
    pub max_age: Option<String>,
}

/// `[[waive]]`.
#[derive(Clone, Debug, Deserialize)]
pub struct WaiveEntry {
    /// The role.
    #[serde(default)]
    pub role: Option<String>,
    /// The function, as the gate prints it, or `*` for all.
    #[serde(default)]
    pub function: Option<String>,
    /// Why.
    pub reason: String,
    /// The last day, as `2027-01-31`.
    #[serde(default)]
    pub expires: Option<NaiveDate>,
}

/// `[[allow]]`.
#[derive(Clone, Debug, Deserialize)]
pub struct AllowEntry {
    /// The hazard's code.
    pub hazard: String,
    /// Why.
    pub reason: String,
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what we expect.
    #[error("`{}`: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A value cannot be understood.
    #[error("`{name}` from {origin} is `{value}`: {message}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Where it came from.
        origin: String,
        /// What it is.
        value: String,
        /// What it should be.
        message: String,
    },
    /// Something is missing.
    #[error("{message}")]
    Missing {
        /// What, and how to give it.
        message: String,
    },
}

impl ConfigFile {
    /// Reads the file, with the names in it that mean nothing to us. A file that is not
    /// there is empty, unless it was asked for by name.
    ///
    /// # Errors
    /// When it cannot be read or has a value of the wrong kind.
    pub fn read(path: &Path, named: bool) -> Result<(Self, Vec<String>), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => {
                return Ok((Self::default(), Vec::new()));
            }
            Err(source) => {
                return Err(ConfigError::Unreadable { path: path.to_owned(), source });
            }
        };
        // The line itself is not shown: it may hold a password.
        let wrong = |error: toml::de::Error| {
            // What is of no place is said to be of the whole.
            let span = error.span().filter(|span| span.len() < text.len());
            let line = span.map(|span| text[..span.start].matches('\n').count() + 1);
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let message = format!("{line}{}", error.message());
            ConfigError::Wrong { path: path.to_owned(), message }
        };
        let table: toml::Table = toml::from_str(&text).map_err(wrong)?;
        let unknown = unknown_names(&table);
        let file = toml::from_str(&text).map_err(wrong)?;
        Ok((file, unknown))
    }
}

/// Names that no setting has: most often a typo, which must not pass in silence.
fn unknown_names(table: &toml::Table) -> Vec<String> {
    let top = ["default_env", "env", "consumer", "waive", "allow"];
    let mut unknown: Vec<String> = table
        .keys()
        .filter(|name| !is_setting(name) && !top.contains(&name.as_str()))
        .cloned()
        .collect();
    let lists = [
        (
            "consumer",
            &["name", "roles", "idle", "unnamed_sessions", "streams", "usage", "period", "source"]
                [..],
        ),
        ("waive", &["role", "function", "reason", "expires"][..]),
        ("allow", &["hazard", "reason"][..]),
    ];
    for (list, known) in lists {
        let entries = table.get(list).and_then(toml::Value::as_array);
        for entry in entries.into_iter().flatten().filter_map(toml::Value::as_table) {
            let odd = entry.keys().filter(|name| !known.contains(&name.as_str()));
            unknown.extend(odd.map(|name| format!("{list}.{name}")));
        }
    }
    let limits = |table: &toml::Table, place: &str| {
        let names = table.get("limits").and_then(toml::Value::as_table).into_iter();
        let names = names.flat_map(toml::Table::keys).filter(|name| !is_known(name));
        names.map(|name| format!("{place}limits.{name}")).collect::<Vec<_>>()
    };
    unknown.extend(limits(table, ""));
    for (env, section) in table.get("env").and_then(toml::Value::as_table).into_iter().flatten() {
        for name in section.as_table().into_iter().flat_map(toml::Table::keys) {
            if !is_setting(name) {
                unknown.push(format!("env.{env}.{name}"));
            }
        }
        unknown.extend(
            section.as_table().into_iter().flat_map(|one| limits(one, &format!("env.{env}."))),
        );
    }
    unknown
}
