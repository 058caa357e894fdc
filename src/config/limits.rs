use std::path::Path;

use serde::Deserialize;

use super::file::{ConfigError, ConfigFile};
use crate::backfill::{Limit, Limits};
use crate::dialect::Signal;

/// The names under `[limits]` that are no signals.
const DISK_SIZE: &str = "disk_size";

/// A limit, as written: `2`, `"10s"`, `"80%"`, `"5GB"` or `"off"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum LimitEntry {
    /// A number.
    Number(f64),
    /// Anything else.
    Text(String),
}

/// Whether a name under `[limits]` means something.
pub(super) fn is_known(name: &str) -> bool {
    name == DISK_SIZE || signal(name).is_some()
}

fn signal(name: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| signal.name() == name)
}

/// The limits of an environment, read from the file anew: flags and variables set none.
///
/// # Errors
/// When the file cannot be read, or a limit makes no sense.
pub fn read_limits(path: &Path, env: &str) -> Result<Limits, ConfigError> {
    let (file, _) = ConfigFile::read(path, false)?;
    limits(&file, env, path)
}

pub(super) fn limits(file: &ConfigFile, env: &str, path: &Path) -> Result<Limits, ConfigError> {
    let mut limits = Limits::default();
    let own = file.env.get(env).map(|section| (&section.limits, format!("env.{env}.limits")));
    for (entries, place) in [(&file.common.limits, "limits".to_owned())].into_iter().chain(own) {
        for (name, entry) in entries {
            let text = match entry {
                LimitEntry::Number(number) => number.to_string(),
                LimitEntry::Text(text) => text.clone(),
            };
            let wrong = |message: &str| ConfigError::Value {
                name: signal(name).map_or(DISK_SIZE, Signal::name),
                origin: format!("{}, {place}", path.display()),
                value: text.clone(),
                message: message.to_owned(),
            };
            if name == DISK_SIZE {
                limits.disk_size = Some(whole(size(&text).ok_or_else(|| wrong(SIZES))?));
            }
            let Some(signal) = signal(name) else { continue };
            if text == "off" {
                limits.of.remove(&signal);
                continue;
            }
            let (limit, how) = limit(signal, &text);
            limits.of.insert(signal, limit.ok_or_else(|| wrong(how))?);
        }
    }
    Ok(limits)
}

const SIZES: &str = "write it like `500MB`, `20GB` or `2TB`";

/// A limit and how it is written.
fn limit(signal: Signal, text: &str) -> (Option<Limit>, &'static str) {
    let share = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = share.filter(|number| *number >= 0.0).map(|number| Limit::Share(number / 100.0));
    let count = || text.parse::<f64>().ok().filter(|number| *number >= 0.0).map(Limit::Absolute);
    match signal {
        Signal::ReplicaLag | Signal::OldestSnapshot => {
            let time = humantime::parse_duration(text).ok();
            let limit = time.map(|time| Limit::Absolute(time.as_secs_f64()));
            (limit, "write it like `10s` or `5m`, or `off`")
        }
        Signal::LockWaits => (count(), "write a number of sessions like `2`, or `off`"),
        Signal::ActiveSessions => (
            share.or_else(count),
            "write a number of sessions like `40` or a share like `80%`, or `off`",
        ),
        Signal::DeadRows => {
            (share.or_else(count), "write a share like `20%`, or a number of rows, or `off`")
        }
        Signal::Checkpoint | Signal::FreeDisk => {
            let limit = share.or_else(|| size(text).map(Limit::Absolute));
            (limit, "write a share like `5%` or a size like `20GB`, or `off`")
        }
    }
}

/// Bytes.
fn size(text: &str) -> Option<f64> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    let factor = match unit.trim() {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

fn whole(bytes: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size as written"
    )]
    let bytes = bytes as u64;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Limits, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("zdmig.toml");
        std::fs::write(&path, text).expect("written");
        read_limits(&path, "staging").map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_read_as_they_are_written() {
        let text = "[limits]\nreplica_lag = \"3s\"\nlock_waits = 4\nactive_sessions = \"50%\"\n\
                    checkpoint = \"2GiB\"\noldest_snapshot = \"5m\"\ndead_rows = \"20%\"\n\
                    free_disk = \"20GB\"\ndisk_size = \"1TB\"\n\
                    [env.staging.limits]\nreplica_lag = \"off\"\nlock_waits = 7\n";
        let limits = read(text).expect("limits");
        assert_eq!(limits.disk_size, Some(1_000_000_000_000));
        assert_eq!(
            limits.of.into_iter().collect::<Vec<_>>(),
            [
                (Signal::LockWaits, Limit::Absolute(7.0)),
                (Signal::ActiveSessions, Limit::Share(0.5)),
                (Signal::Checkpoint, Limit::Absolute(2.0 * 1024.0 * 1024.0 * 1024.0)),
                (Signal::OldestSnapshot, Limit::Absolute(300.0)),
                (Signal::DeadRows, Limit::Share(0.2)),
                (Signal::FreeDisk, Limit::Absolute(20e9)),
            ]
        );
        assert_eq!(read("").expect("none"), Limits::default());
    }

    #[test]
    fn a_wrong_limit_says_where_it_is_and_how_it_is_written() {
        for (line, word) in [
            ("replica_lag = 5", "`10s`"),
            ("lock_waits = \"many\"", "`2`"),
            ("active_sessions = \"-1\"", "`80%`"),
            ("free_disk = \"5 apples\"", "`20GB`"),
            ("disk_size = \"big\"", "`500MB`"),
        ] {
            let error = read(&format!("[limits]\n{line}")).expect_err(line);
            assert!(error.contains(word) && error.contains("zdmig.toml, limits"), "{error}");
        }
    }
}
