use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::backfill::LimitsSource;
use crate::config::{Setting, Settings, read_limits};
use crate::dialect::{self, DatabaseUrl, Dialect, Measure, Options, Session, SessionError};
use crate::engine::{Engine, EngineError, EngineOptions, Event};
use crate::journal::Journal;
use crate::migration::SourceFile;
use crate::report::Reporter;
use crate::sql::Ident;
use crate::telemetry::Telemetry;

/// What a verb works with.
pub(super) struct Context<'a> {
    pub(super) settings: Settings,
    pub(super) reporter: &'a mut Reporter,
    pub(super) cancel: &'a CancellationToken,
    pub(super) telemetry: Telemetry,
    /// Migrations that are part of the program that calls us, where there is no folder.
    pub(super) embedded: Option<Vec<SourceFile>>,
    /// The one of several schemas that the verb works in.
    pub(super) schema: Option<String>,
}

/// Who hears of what an engine does: a person, and machines.
pub(super) struct Ears<'a> {
    pub(super) reporter: &'a mut Reporter,
    telemetry: &'a mut Telemetry,
}

impl Ears<'_> {
    pub(super) fn hear(&mut self, event: &Event<'_>) {
        self.reporter.event(event);
        self.telemetry.hear(event);
    }
}

/// How long a connection may take.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

impl Context<'_> {
    pub(super) fn ears(&mut self) -> Ears<'_> {
        Ears { reporter: self.reporter, telemetry: &mut self.telemetry }
    }

    /// The database's address, or how to give one.
    pub(super) fn url(&self) -> Result<DatabaseUrl, Failure> {
        let missing = || {
            Failure::usage("no database is named")
                .hint("give --database-url, or set ZDMIG_DATABASE_URL or DATABASE_URL")
        };
        let Setting { value, .. } = self.settings.database_url.clone().ok_or_else(missing)?;
        let Some(schema) = &self.schema else { return Ok(value) };
        let dialect = dialect::for_url(&value)?;
        dialect.in_schema(&value, &Ident::new(schema)).ok_or_else(|| {
            Failure::usage(format!("{} has no schemas", dialect.product()))
                .hint("leave `--schemas` away; a file a tenant is a database each")
        })
    }

    /// What was done, in the schema that the verb works in.
    pub(super) async fn journal(&self, session: &mut dyn Session) -> Result<Journal, SessionError> {
        Ok(session.journal().await?.of(self.schema.as_deref()))
    }

    /// The addresses of its replicas.
    pub(super) fn replicas(&self) -> Result<Vec<DatabaseUrl>, Failure> {
        self.settings.replicas.clone().map_err(Failure::usage)
    }

    /// The addresses of the poolers before it.
    pub(super) fn poolers(&self) -> Result<Vec<DatabaseUrl>, Failure> {
        self.settings.poolers.clone().map_err(Failure::usage)
    }

    /// The dialect of the database.
    pub(super) fn dialect(&self) -> Result<&'static dyn Dialect, Failure> {
        Ok(dialect::for_url(&self.url()?)?)
    }

    /// Opens the database.
    pub(super) async fn connect(&self) -> Result<Box<dyn Session>, Failure> {
        self.connect_through(false).await
    }

    /// Opens the database for what must be alone there, whatever the schema.
    pub(super) async fn connect_alone(&self) -> Result<Box<dyn Session>, Failure> {
        self.open(false, None).await
    }

    /// Opens the database, through a pooler if that will do.
    pub(super) async fn connect_through(&self, pooled: bool) -> Result<Box<dyn Session>, Failure> {
        self.open(pooled, self.schema.clone()).await
    }

    async fn open(
        &self,
        pooled: bool,
        beside: Option<String>,
    ) -> Result<Box<dyn Session>, Failure> {
        let options = Options {
            lock_timeout: self.settings.lock_timeout.value,
            connect_timeout: CONNECT_LIMIT,
            measure: Measure::Nothing,
            pooled,
            beside,
        };
        Ok(self.dialect()?.connect(&self.url()?, &options).await?)
    }

    /// Whether the product lets one write at a time.
    pub(super) fn single_writer(&self) -> Result<bool, Failure> {
        let dialect = self.dialect()?;
        Ok(dialect.capabilities(&dialect.empty().server).single_writer)
    }

    /// How the engine is to behave on this server.
    pub(super) fn engine_options(&self, step_aside: bool) -> EngineOptions {
        EngineOptions {
            owner: owner(),
            lock_wait_max: self.settings.lock_wait_max.value,
            pace: self.settings.pace.value.1,
            workers: 1,
            step_aside,
            limits: self.limits(),
            failed_max: 100,
            deadline: None,
        }
    }

    /// The limits of the file, as it is whenever somebody asks.
    fn limits(&self) -> LimitsSource {
        let (path, env) = (self.settings.config.value.clone(), self.settings.env.value.clone());
        LimitsSource::new(move || read_limits(&path, &env).map_err(|error| error.to_string()))
    }
}

/// `user@host zdmig/0.1.0 pid 42`: who to ask.
pub(super) fn owner() -> String {
    let user = super::variable("USER").or_else(|| super::variable("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| super::variable("HOSTNAME")).unwrap_or_default();
    format!(
        "{}@{} zdmig/{} pid {}",
        user.as_deref().unwrap_or("unknown"),
        host.trim(),
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    )
}

/// Becomes the only zdmig on the database, trying for as long as `wait` says.
pub(super) async fn lock(
    session: &mut dyn Session,
    owner: &str,
    cancel: &CancellationToken,
    wait: Duration,
) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match session.exclusive(owner).await {
            Ok(()) => return Ok(()),
            Err(SessionError::Busy { .. }) if begun.elapsed() < wait => {}
            Err(error) => return Err(error.into()),
        }
        if cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// An engine, as the only zdmig on the database.
pub(super) async fn start<'a>(
    session: &'a mut dyn Session,
    options: &'a EngineOptions,
    cancel: &'a CancellationToken,
    wait: Duration,
    notice: &'a mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Engine<'a>, Failure> {
    lock(session, &options.owner, cancel, wait).await?;
    Ok(Engine::started(session, options, cancel, notice).await?)
}
