use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::file::{ConfigError, ConfigFile, Section};
use super::limits::limits;
use super::secret::Secret;
use crate::backfill::{Limits, Pace};
use crate::dialect::DatabaseUrl;
use crate::gate::GatePolicy;
use crate::rehearsal::Budget;

/// What was typed on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--database-url`.
    pub database_url: Option<String>,
    /// `--migrations`.
    pub migrations: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--env`.
    pub env: Option<String>,
    /// `--lock-timeout`.
    pub lock_timeout: Option<String>,
    /// `--lock-wait-max`.
    pub lock_wait_max: Option<String>,
    /// `--schemas`.
    pub schemas: Option<String>,
    /// `--pace`.
    pub pace: Option<String>,
    /// `--soak`.
    pub soak: Option<String>,
    /// `--metrics-listen`.
    pub metrics_listen: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag(&'static str),
    /// The environment.
    Variable(&'static str),
    /// The file, with the section in it.
    File(String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "the flag {name}"),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::File(place) => write!(f, "{place}"),
            Self::Default => write!(f, "the default"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

/// Every setting, resolved: flags before environment before file before default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database; `None` where nobody named one.
    pub database_url: Option<Setting<DatabaseUrl>>,
    /// The folder of the migration files.
    pub migrations: Setting<PathBuf>,
    /// The configuration file.
    pub config: Setting<PathBuf>,
    /// The environment's name.
    pub env: Setting<String>,
    /// How long one statement waits for a lock.
    pub lock_timeout: Setting<Duration>,
    /// How long one step goes on trying for a lock.
    pub lock_wait_max: Setting<Duration>,
    /// What a backfill may cost, and its name.
    pub pace: Setting<(String, Pace)>,
    /// How long a retired column is kept before its purge.
    pub soak: Setting<Duration>,
    /// How long a sign of life is good for.
    pub heartbeat_ttl: Setting<Duration>,
    /// How long an instance may be at work after its last sign of life.
    pub drain: Setting<Duration>,
    /// Replicas of the database.
    pub replicas: Result<Vec<DatabaseUrl>, String>,
    /// Consoles of poolers before it.
    pub poolers: Result<Vec<DatabaseUrl>, String>,
    /// How long a window on what ran must be.
    pub min_observation: Setting<Duration>,
    /// How long everything must have been filled before anything goes.
    pub min_age: Setting<Duration>,
    /// How long after its end a deployment may be gone back to.
    pub rollback_window: Setting<Duration>,
    /// How many people must have approved a plan.
    pub require_approval: Setting<u32>,
    /// How many times the p99 from before a rehearsal's may be.
    pub max_p99_ratio: Setting<f64>,
    /// How long a request may wait for a lock in a rehearsal.
    pub max_lock_wait: Setting<Duration>,
    /// How many requests may fail in a rehearsal.
    pub max_errors: Setting<u64>,
    /// For how long a verdict can be overridden.
    pub verdict_ttl: Setting<Duration>,
    /// A folder of usage manifests.
    pub usage: Option<Setting<PathBuf>>,
    /// Where the ends of phases are posted.
    pub webhook: Option<Setting<Secret>>,
    /// How long a phase may do nothing until the webhook is told.
    pub stalled_after: Setting<Duration>,
    /// Where expand and backfill serve metrics.
    pub metrics_listen: Option<Setting<String>>,
    /// The last migration that `check` leaves alone.
    pub check_after: Option<Setting<String>>,
    /// The schemas that a verb goes over, by a pattern.
    pub schemas: Option<Setting<String>>,
    /// A folder of templates for new migrations.
    pub templates: Option<Setting<PathBuf>>,
    /// What of the database holds a backfill back.
    pub limits: Limits,
    /// What the gate knows of the world.
    pub gate: GatePolicy,
    /// Hazards that are accepted in every migration, with the reason.
    pub allow: Vec<(String, String)>,
    /// Names in the file that mean nothing to us.
    pub unknown: Vec<String>,
}

impl Settings {
    /// What a change may cost, as a rehearsal is judged.
    pub fn budget(&self) -> Budget {
        Budget {
            p99_ratio: self.max_p99_ratio.value,
            lock_wait: self.max_lock_wait.value,
            errors: self.max_errors.value,
        }
    }

    /// Resolves every setting. `variable` looks up the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or a value makes no sense; the message says where the
    /// value came from.
    pub fn resolve(
        flags: &Flags,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let config = pick(
            flags.config.clone().map(|path| (path, "--config")),
            || variable("ZDMIG_CONFIG").map(|text| (PathBuf::from(text), "ZDMIG_CONFIG")),
            || None,
        )
        .unwrap_or(Setting { value: "zdmig.toml".into(), origin: Origin::Default });
        let (file, unknown) = ConfigFile::read(&config.value, config.origin != Origin::Default)?;
        let env = pick(
            flags.env.clone().map(|name| (name, "--env")),
            || variable("ZDMIG_ENV").map(|name| (name, "ZDMIG_ENV")),
            || file.default_env.clone().map(|name| (name, place(&config.value, "default_env"))),
        )
        .unwrap_or(Setting { value: "production".into(), origin: Origin::Default });
        let sources = Sources { file: &file, env: &env.value, path: &config.value, variable };
        sources.settings(flags, config.clone(), env.clone(), unknown)
    }
}

fn place(path: &std::path::Path, name: &str) -> String {
    format!("{}, {name}", path.display())
}

fn pick<T>(
    flag: Option<(T, &'static str)>,
    variable: impl FnOnce() -> Option<(T, &'static str)>,
    file: impl FnOnce() -> Option<(T, String)>,
) -> Option<Setting<T>> {
    let flag = flag.map(|(value, name)| Setting { value, origin: Origin::Flag(name) });
    let variable =
        || variable().map(|(value, name)| Setting { value, origin: Origin::Variable(name) });
    let file = || file().map(|(value, place)| Setting { value, origin: Origin::File(place) });
    flag.or_else(variable).or_else(file)
}

pub(super) struct Sources<'a> {
    pub(super) file: &'a ConfigFile,
    pub(super) env: &'a str,
    pub(super) path: &'a std::path::Path,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Sources<'_> {
    fn settings(
        &self,
        flags: &Flags,
        config: Setting<PathBuf>,
        env: Setting<String>,
        unknown: Vec<String>,
    ) -> Result<Settings, ConfigError> {
        let database_url = self.text(
            flags.database_url.clone().map(|text| (text, "--database-url")),
            &["ZDMIG_DATABASE_URL", "DATABASE_URL"],
            ("database_url", |section| section.database_url.clone()),
        );
        let heartbeat_ttl =
            self.time(("heartbeat_ttl", |section| section.heartbeat_ttl.clone()), "45s")?;
        let drain = self.time(("drain", |section| section.drain.clone()), "2m")?;
        let [min_observation, min_age, rollback_window] = self.gate_times()?;
        let times = [min_observation.value, min_age.value, rollback_window.value];
        let gate = self.gate(&env.value, heartbeat_ttl.value, drain.value, times)?;
        let allow = self.file.allow.iter().map(|one| (one.hazard.clone(), one.reason.clone()));
        Ok(Settings {
            allow: allow.collect(),
            database_url: database_url.map(url).transpose()?,
            migrations: self
                .text(
                    flags.migrations.clone().map(|path| (path, "--migrations")),
                    &["ZDMIG_MIGRATIONS"],
                    ("migrations", |section| section.migrations.clone()),
                )
                .unwrap_or(Setting { value: "migrations".into(), origin: Origin::Default }),
            lock_timeout: self.duration(
                flags.lock_timeout.clone().map(|text| (text, "--lock-timeout")),
                &["ZDMIG_LOCK_TIMEOUT"],
                ("lock_timeout", |section| section.lock_timeout.clone()),
                "500ms",
            )?,
            lock_wait_max: self.duration(
                flags.lock_wait_max.clone().map(|text| (text, "--lock-wait-max")),
                &["ZDMIG_LOCK_WAIT_MAX"],
                ("lock_wait_max", |section| section.lock_wait_max.clone()),
                "10m",
            )?,
            pace: self.pace(flags)?,
            soak: self.duration(
                flags.soak.clone().map(|text| (text, "--soak")),
                &["ZDMIG_SOAK"],
                ("soak", |section| section.soak.clone()),
                "24h",
            )?,
            require_approval: self
                .plain(("require_approval", |section| section.require_approval), 0),
            max_p99_ratio: self.max_p99_ratio()?,
            max_lock_wait: self
                .time(("max_lock_wait", |section| section.max_lock_wait.clone()), "1s")?,
            max_errors: self.plain(("max_errors", |section| section.max_errors), 0),
            verdict_ttl: self
                .time(("verdict_ttl", |section| section.verdict_ttl.clone()), "10m")?,
            webhook: self.webhook()?,
            stalled_after: self
                .time(("stalled_after", |section| section.stalled_after.clone()), "10m")?,
            metrics_listen: self.text(
                flags.metrics_listen.clone().map(|text| (text, "--metrics-listen")),
                &["ZDMIG_METRICS_LISTEN"],
                ("metrics_listen", |section| section.metrics_listen.clone()),
            ),
            check_after: self.text(
                None,
                &[],
                ("check_after", |section| section.check_after.clone()),
            ),
            schemas: self.text(
                flags.schemas.clone().map(|text| (text, "--schemas")),
                &[],
                ("schemas", |section| section.schemas.clone()),
            ),
            templates: self.text(None, &[], ("templates", |section| section.templates.clone())),
            limits: limits(self.file, self.env, self.path)?,
            usage: self.text(None, &[], ("usage", |section| section.usage.clone())),
            config,
            env,
            replicas: self.addresses("replicas", |section| section.replicas.clone()),
            poolers: self.addresses("poolers", |section| section.poolers.clone()),
            min_observation,
            min_age,
            rollback_window,
            heartbeat_ttl,
            drain,
            gate,
            unknown,
        })
    }

    /// A value that only the file sets.
    fn plain<T>(
        &self,
        (name, field): (&'static str, fn(&Section) -> Option<T>),
        default: T,
    ) -> Setting<T> {
        let own = self.file.env.get(self.env).and_then(field);
        let own = own.map(|value| (value, format!("env.{}.{name}", self.env)));
        let found = own.or_else(|| field(&self.file.common).map(|value| (value, name.to_owned())));
        match found {
            Some((value, name)) => Setting { value, origin: Origin::File(place(self.path, &name)) },
            None => Setting { value: default, origin: Origin::Default },
        }
    }

    fn max_p99_ratio(&self) -> Result<Setting<f64>, ConfigError> {
        let default = Budget::default().p99_ratio;
        let ratio = self.plain(("max_p99_ratio", |section| section.max_p99_ratio), default);
        if ratio.value.is_finite() && ratio.value > 0.0 {
            return Ok(ratio);
        }
        Err(ConfigError::Value {
            name: "max_p99_ratio",
            origin: ratio.origin.to_string(),
            value: ratio.value.to_string(),
            message: "write a number above 0, like `2.0`".into(),
        })
    }

    fn text<T: From<String>>(
        &self,
        flag: Option<(T, &'static str)>,
        variables: &[&'static str],
        (name, field): (&'static str, fn(&Section) -> Option<T>),
    ) -> Option<Setting<T>> {
        let variable = || {
            variables
                .iter()
                .find_map(|name| (self.variable)(name).map(|text| (T::from(text), *name)))
        };
        let file = || {
            let own = self.file.env.get(self.env).and_then(field);
            let own = own.map(|value| (value, format!("env.{}.{name}", self.env)));
            let found = own.or_else(|| field(&self.file.common).map(|v| (v, name.to_owned())));
            found.map(|(value, name)| (value, place(self.path, &name)))
        };
        pick(flag, variable, file)
    }

    /// A duration that only the file sets.
    fn time(
        &self,
        field: (&'static str, fn(&Section) -> Option<String>),
        default: &str,
    ) -> Result<Setting<Duration>, ConfigError> {
        self.duration(None, &[], field, default)
    }

    fn duration(
        &self,
        flag: Option<(String, &'static str)>,
        variables: &[&'static str],
        (name, field): (&'static str, fn(&Section) -> Option<String>),
        default: &str,
    ) -> Result<Setting<Duration>, ConfigError> {
        let given = self
            .text(flag, variables, (name, field))
            .unwrap_or(Setting { value: default.to_owned(), origin: Origin::Default });
        let value =
            humantime::parse_duration(&given.value).map_err(|error| ConfigError::Value {
                name,
                origin: given.origin.to_string(),
                value: given.value.clone(),
                message: format!("{error}; write it like `500ms`, `45s`, `10m` or `24h`"),
            })?;
        Ok(Setting { value, origin: given.origin })
    }

    fn gate_times(&self) -> Result<[Setting<Duration>; 3], ConfigError> {
        let observation: fn(&Section) -> Option<String> = |section| section.min_observation.clone();
        let age: fn(&Section) -> Option<String> = |section| section.min_age.clone();
        let window: fn(&Section) -> Option<String> = |section| section.rollback_window.clone();
        Ok([
            self.duration(None, &[], ("min_observation", observation), "26h")?,
            self.duration(None, &[], ("min_age", age), "0s")?,
            self.duration(None, &[], ("rollback_window", window), "0s")?,
        ])
    }

    fn webhook(&self) -> Result<Option<Setting<Secret>>, ConfigError> {
        let given: Option<Setting<String>> =
            self.text(None, &["ZDMIG_WEBHOOK"], ("webhook", |section| section.webhook.clone()));
        let Some(Setting { value, origin }) = given else { return Ok(None) };
        // Whoever knows the address may post there, so the message does not repeat it.
        if !value.starts_with("https://") && !value.starts_with("http://") {
            return Err(ConfigError::Value {
                name: "webhook",
                origin: origin.to_string(),
                value: "not shown".into(),
                message: "write an address that begins with `https://` or `http://`".into(),
            });
        }
        Ok(Some(Setting { value: Secret::new(value), origin }))
    }

    fn pace(&self, flags: &Flags) -> Result<Setting<(String, Pace)>, ConfigError> {
        let given = self
            .text(
                flags.pace.clone().map(|text| (text, "--pace")),
                &["ZDMIG_PACE"],
                ("pace", |section| section.pace.clone()),
            )
            .unwrap_or(Setting { value: "default".to_owned(), origin: Origin::Default });
        match Pace::named(&given.value) {
            Some(pace) => Ok(Setting { value: (given.value, pace), origin: given.origin }),
            None => Err(ConfigError::Value {
                name: "pace",
                origin: given.origin.to_string(),
                value: given.value,
                message: "write `gentle`, `default` or `fast`".into(),
            }),
        }
    }
}

fn url(given: Setting<String>) -> Result<Setting<DatabaseUrl>, ConfigError> {
    // What was given may hold a password, so the message does not repeat it.
    match DatabaseUrl::new(given.value) {
        Ok(value) => Ok(Setting { value, origin: given.origin }),
        Err(error) => Err(ConfigError::Value {
            name: "database_url",
            origin: given.origin.to_string(),
            value: "not shown".into(),
            message: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flags: &Flags, file: &str, vars: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("zdmig.toml");
        std::fs::write(&path, file).expect("written");
        let flags = Flags { config: Some(path), ..flags.clone() };
        let vars: Vec<(String, String)> =
            vars.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Settings::resolve(&flags, &|name| {
            vars.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn flags_beat_variables_beat_the_file_beat_the_default() {
        let file = "soak = \"1h\"\nlock_timeout = \"1s\"\n[env.staging]\nsoak = \"2h\"\n";
        let plain = resolve(&Flags::default(), file, &[]).expect("valid");
        assert_eq!(plain.soak.value, Duration::from_hours(1));
        assert_eq!(plain.pace.origin, Origin::Default);
        let staging = resolve(&Flags::default(), file, &[("ZDMIG_ENV", "staging")]).expect("valid");
        assert_eq!(staging.soak.value, Duration::from_hours(2));
        assert!(staging.soak.origin.to_string().ends_with("env.staging.soak"));
        let vars = [("ZDMIG_SOAK", "3h"), ("ZDMIG_LOCK_TIMEOUT", "2s")];
        let flags = Flags { soak: Some("4h".into()), ..Flags::default() };
        let both = resolve(&flags, file, &vars).expect("valid");
        assert_eq!((both.soak.value.as_secs(), both.lock_timeout.value.as_secs()), (14400, 2));
        assert_eq!(both.soak.origin, Origin::Flag("--soak"));
    }

    #[test]
    fn a_wrong_value_says_where_it_came_from_and_a_typo_is_told() {
        let error = resolve(&Flags::default(), "", &[("ZDMIG_SOAK", "soon")]).expect_err("wrong");
        assert!(error.to_string().contains("the variable ZDMIG_SOAK"), "{error}");
        let settings = resolve(&Flags::default(), "soack = \"1h\"", &[]).expect("read");
        assert_eq!(settings.unknown, ["soack"]);
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let vars = [("DATABASE_URL", "me:s3cret@host/db")];
        let error = resolve(&Flags::default(), "", &vars).expect_err("no scheme");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
