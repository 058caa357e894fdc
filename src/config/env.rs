/// An environment variable that zdmig reads.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it sets.
    pub about: &'static str,
}

/// Every environment variable that zdmig reads.
pub const VARIABLES: &[Variable] = &[
    Variable { name: "ZDMIG_DATABASE_URL", about: "the database" },
    Variable { name: "DATABASE_URL", about: "the database, where `ZDMIG_DATABASE_URL` is not set" },
    Variable { name: "ZDMIG_MIGRATIONS", about: "the folder of the migration files" },
    Variable { name: "ZDMIG_CONFIG", about: "the configuration file" },
    Variable { name: "ZDMIG_ENV", about: "the environment's name" },
    Variable { name: "ZDMIG_LOCK_TIMEOUT", about: "how long one statement waits for a lock" },
    Variable { name: "ZDMIG_LOCK_WAIT_MAX", about: "how long one step goes on trying for a lock" },
    Variable {
        name: "ZDMIG_PACE",
        about: "what a backfill may cost: `gentle`, `default` or `fast`",
    },
    Variable { name: "ZDMIG_SOAK", about: "how long a retired column is kept before its purge" },
    Variable {
        name: "ZDMIG_WEBHOOK",
        about: "where the [ends of phases are posted](telemetry.md#a-webhook)",
    },
    Variable {
        name: "ZDMIG_METRICS_LISTEN",
        about: "where `expand` and `backfill` [serve metrics](telemetry.md#metrics)",
    },
    Variable { name: "OTEL_…", about: "where [traces](telemetry.md#traces) go" },
    Variable { name: "ZDMIG_LOG", about: "a filter for the log on stderr, e.g. `debug`" },
    Variable { name: "NO_COLOR", about: "no colours" },
];
