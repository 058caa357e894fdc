//! Every setting on a card: the file is checked against them, and the docs are rendered from them.

use super::env::VARIABLES;

/// A setting of `zdmig.toml`, at its top or in `[env.NAME]`.
#[derive(Debug)]
pub struct SettingCard {
    /// Its name.
    pub name: &'static str,
    /// A value, as it stands in the file: the default, where there is one.
    pub example: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// Every setting that an environment may have of its own, but for the tables.
pub const SETTINGS: &[SettingCard] = &[
    SettingCard {
        name: "database_url",
        example: r#""postgres://deploy@db/shop""#,
        about: "the database; with a password it is better kept in ZDMIG_DATABASE_URL",
    },
    SettingCard {
        name: "migrations",
        example: r#""migrations""#,
        about: "the folder of the migration files",
    },
    SettingCard {
        name: "templates",
        example: r#""migrations/templates""#,
        about: "a folder of your own templates for `zdmig new`",
    },
    SettingCard {
        name: "schemas",
        example: r#""tenant_*""#,
        about: "phases are run in each schema that fits, as with `--schemas` [none]: docs/schemas.md",
    },
    SettingCard {
        name: "check_after",
        example: r#""20261123090000_add_email""#,
        about: "`check` leaves this migration and those before it alone: they were run long ago",
    },
    SettingCard {
        name: "lock_timeout",
        example: r#""500ms""#,
        about: "one statement's wait for a lock; others may wait behind it this long",
    },
    SettingCard {
        name: "lock_wait_max",
        example: r#""10m""#,
        about: "all tries for one lock together; between two tries nothing is held",
    },
    SettingCard {
        name: "pace",
        example: r#""default""#,
        about: "a backfill's chunks: gentle (1 ms, a quarter of the time), default (1 ms, about half), fast (20 ms)",
    },
    SettingCard {
        name: "soak",
        example: r#""24h""#,
        about: "between contract and purge; \"0s\" does both at once",
    },
    SettingCard {
        name: "heartbeat_ttl",
        example: r#""45s""#,
        about: "a sign of life is good for this long",
    },
    SettingCard {
        name: "drain",
        example: r#""2m""#,
        about: "and an instance may be at work for this long after it",
    },
    SettingCard {
        name: "min_age",
        example: r#""1h""#,
        about: "everything must have been filled for this long before anything goes [0s]",
    },
    SettingCard {
        name: "rollback_window",
        example: r#""24h""#,
        about: "a deployment that has ended may be gone back to for this long [0s]: E_ROLLBACK",
    },
    SettingCard {
        name: "require_approval",
        example: "2",
        about: "expand, contract and purge want a plan that so many people have approved [0]: `zdmig approve`",
    },
    SettingCard {
        name: "max_p99_ratio",
        example: "2.0",
        about: "a rehearsal's p99 may be so many times that from before: `zdmig rehearse`",
    },
    SettingCard {
        name: "max_lock_wait",
        example: r#""1s""#,
        about: "and a request may wait so long for a lock",
    },
    SettingCard { name: "max_errors", example: "0", about: "and so many may fail" },
    SettingCard {
        name: "verdict_ttl",
        example: r#""10m""#,
        about: "a verdict can be overridden for this long",
    },
    SettingCard {
        name: "require_window",
        example: "true",
        about: "the gate wants a window on what ran that shows everything [false]",
    },
    SettingCard {
        name: "min_observation",
        example: r#""26h""#,
        about: "and this is how long it must be",
    },
    SettingCard {
        name: "replicas",
        example: r#"["env:REPLICA_URL"]"#,
        about: "replicas: their sessions and statements count; an address, or a variable that holds it",
    },
    SettingCard {
        name: "poolers",
        example: r#"["env:POOLER_URL"]"#,
        about: "consoles of poolers: their clients count as sessions",
    },
    SettingCard {
        name: "require_brownout",
        example: r#""15m""#,
        about: "the gate wants a brownout that passed, this long, where there can be one [0s]",
    },
    SettingCard {
        name: "usage",
        example: r#""usage""#,
        about: "a folder of usage manifests, beside the published ones",
    },
    SettingCard {
        name: "webhook",
        example: r#""https://example.com/hook""#,
        about: "posted to when a phase is finished, stands still, stops or fails",
    },
    SettingCard {
        name: "stalled_after",
        example: r#""10m""#,
        about: "nothing done for that long is standing still",
    },
    SettingCard {
        name: "metrics_listen",
        example: r#"":9187""#,
        about: "expand and backfill serve metrics for Prometheus here",
    },
];

/// Whether a name is one that an environment may have of its own.
pub(super) fn is_setting(name: &str) -> bool {
    name == "limits" || SETTINGS.iter().any(|card| card.name == name)
}

/// The settings as lines of a `zdmig.toml`, for the docs.
pub fn render_settings() -> String {
    let line = |card: &SettingCard| format!("{} = {}", card.name, card.example);
    let width = SETTINGS.iter().map(|card| line(card).len()).max().unwrap_or_default();
    let lines = SETTINGS.iter().map(|card| format!("{:width$}  # {}\n", line(card), card.about));
    format!("```toml\n{}```\n", lines.collect::<String>())
}

/// The environment variables as a table, for the docs.
pub fn render_variables() -> String {
    let rows = VARIABLES.iter().map(|one| format!("| `{}` | {} |\n", one.name, one.about));
    format!("| variable | sets |\n|---|---|\n{}", rows.collect::<String>())
}
