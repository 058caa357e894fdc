use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Sighting, State};

#[derive(Deserialize)]
struct Answer {
    complete: bool,
    observed_at: DateTime<Utc>,
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    service: String,
    version: String,
    instance: String,
    state: Word,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Live,
    Draining,
    Latent,
    Rollback,
}

/// Reads what a program printed. Instances of other services are left to their own sources.
pub(super) fn read(
    text: &str,
    service: &str,
    now: DateTime<Utc>,
    max_age: Duration,
) -> Result<Vec<Sighting>, String> {
    let answer: Answer =
        serde_json::from_str(text).map_err(|error| format!("prints no answer: {error}"))?;
    if !answer.complete {
        return Err("says that its answer is not complete".into());
    }
    // A clock that is ahead is as good as none.
    let age = (now - answer.observed_at).abs().to_std().unwrap_or(Duration::MAX);
    if age > max_age {
        return Err(format!("answers for a time {} s away", age.as_secs()));
    }
    let sighting = |one: Instance| Sighting {
        service: one.service,
        version: one.version,
        state: match one.state {
            Word::Live => State::Live,
            Word::Draining => State::Draining,
            Word::Latent => State::Latent,
            Word::Rollback => State::Rollback,
        },
        how: format!("instance `{}`", one.instance),
    };
    if answer.instances.iter().any(|one| one.version.is_empty()) {
        return Err("names an instance without a version".into());
    }
    Ok(answer.instances.into_iter().filter(|one| one.service == service).map(sighting).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<Vec<Sighting>, String> {
        let now = "2026-11-23T12:00:00Z".parse().expect("a time");
        read(text, "api", now, Duration::from_secs(20))
    }

    #[test]
    fn only_a_whole_and_fresh_answer_is_one() {
        let whole = "{\"complete\": true, \"observed_at\": \"2026-11-23T11:59:50Z\", \"instances\": \
                     [{\"service\": \"api\", \"version\": \"1\", \"instance\": \"i-1\", \"state\": \
                     \"draining\"}, {\"service\": \"web\", \"version\": \"7\", \"instance\": \"w\", \
                     \"state\": \"live\"}]}";
        let seen = ask(whole).expect("an answer");
        assert_eq!((seen.len(), seen[0].state), (1, State::Draining));
        for (from, to) in [
            ("true", "false"),
            ("\"complete\": true, ", ""),
            ("11:59:50", "11:59:30"),
            ("11:59:50", "12:01:00"),
            ("draining", "asleep"),
            ("\"version\": \"1\"", "\"version\": \"\""),
            ("]}", ""),
        ] {
            assert!(ask(&whole.replacen(from, to, 1)).is_err(), "{from} → {to}");
        }
    }
}
