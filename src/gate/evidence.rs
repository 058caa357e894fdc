use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::inventory::Inventory;
use super::policy::GatePolicy;
use super::runtime::{Ran, Window};
use super::usage::Usage;
use crate::dialect::{Bound, Connected, Witness};

/// Everything that speaks for or against, gathered and put in order; no decision yet.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Evidence {
    /// When it was gathered, by the database's clock.
    pub at: DateTime<Utc>,
    /// Every version of every service that may be at work.
    pub seen: Vec<Seen>,
    /// Sessions that cannot be told apart: the role and what they call themselves.
    pub unversioned: Vec<Unversioned>,
    /// Roles that may touch a target; `None` where the product has no roles.
    pub roles: Option<Vec<(String, String)>>,
    /// What each version uses, by service and version.
    pub usages: Vec<((String, String), Usage)>,
    /// Manifests that could not be read.
    pub bad_manifests: Vec<(String, String)>,
    /// What uses a target inside the database.
    pub dependents: Vec<String>,
    /// What the server knows to rest on a target, whether the plan sees to it or not.
    pub bound: Vec<Bound>,
    /// What sends a target's changes to others.
    pub streams: Vec<String>,
    /// What ran since the windows were opened.
    pub windows: Vec<Window>,
    /// What sessions run that uses a target.
    pub sampled: Vec<Ran>,
    /// Sources that could not answer.
    pub gaps: Vec<String>,
}

/// A version that may be at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// How it was seen, the strongest first.
    pub sights: Vec<Sight>,
}

/// One way in which a version was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Sight {
    /// How it may be at work.
    pub state: State,
    /// Who says so.
    pub by: By,
    /// In words.
    pub how: String,
}

/// Who says that a version may be at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// It does, to the database.
    Heartbeat,
    /// The database does, or a pooler.
    Session,
    /// Those who run it.
    Source,
    /// Somebody wrote it down.
    Record,
}

/// How a version may be at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is.
    Live,
    /// It was a moment ago, or is about to end.
    Draining,
    /// It can start without a deployment.
    Latent,
    /// It is kept, to be gone back to.
    Rollback,
    /// Others were given it, and run it for as long as they like.
    Released,
    /// It was deployed, and nobody said that it ended.
    Recorded,
}

/// A session that does not say which version it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unversioned {
    /// Its role.
    pub role: String,
    /// What it calls itself.
    pub application: String,
    /// How many there are.
    pub count: usize,
}

/// Puts what a database says in order. `files` are manifests from the project's folder, as
/// their path and text.
pub fn collect(
    witness: &Witness,
    inventory: &Inventory,
    files: &[(String, String)],
    policy: &GatePolicy,
) -> Evidence {
    let mut seen: BTreeMap<(String, String), Vec<Sight>> = BTreeMap::new();
    let mut add = |service: &str, version: &str, state: State, by: By, how: String| {
        let sights = seen.entry((service.to_owned(), version.to_owned())).or_default();
        sights.push(Sight { state, by, how });
    };
    for beat in &witness.heartbeats {
        if let Some(state) = state_of(beat.age, policy) {
            let how = format!("heartbeat of `{}` {} ago", beat.instance, seconds(beat.age));
            add(&beat.service, &beat.version, state, By::Heartbeat, how);
        }
    }
    let mut unversioned: Vec<Unversioned> = Vec::new();
    for session in witness.sessions.iter().flatten() {
        match named(&session.application) {
            Some((service, version)) => {
                let how = format!("{} of role `{}`", session.place, session.role);
                add(service, version, State::Live, By::Session, how);
            }
            None => count(&mut unversioned, session),
        }
    }
    for one in &inventory.seen {
        add(&one.service, &one.version, one.state, By::Source, one.how.clone());
    }
    for deployed in &witness.deployments {
        if let Some(ended) = deployed.ended {
            let since = (witness.now - ended).to_std().unwrap_or_default();
            if !deployed.released && since < policy.rollback_window {
                let how = format!("deployment ended {} ago", seconds(since));
                add(&deployed.service, &deployed.version, State::Rollback, By::Record, how);
            }
            continue;
        }
        let (what, state) = if deployed.released {
            ("release", State::Released)
        } else {
            ("deployment", State::Recorded)
        };
        let how = format!("{what} recorded {}", deployed.since.format("%Y-%m-%d %H:%M UTC"));
        add(&deployed.service, &deployed.version, state, By::Record, how);
    }
    let mut usages = Vec::new();
    let mut bad_manifests = Vec::new();
    let published = witness
        .manifests
        .iter()
        .map(|one| (format!("published for {}@{}", one.service, one.version), one.text.as_str()));
    let in_files = files.iter().map(|(path, text)| (path.clone(), text.as_str()));
    for (place, text) in published.chain(in_files) {
        match Usage::read(text) {
            Ok(usage) => usages.push(((usage.service.clone(), usage.version.clone()), usage)),
            Err(error) => bad_manifests.push((place, error.to_string())),
        }
    }
    Evidence {
        at: witness.now,
        seen: seen
            .into_iter()
            .map(|((service, version), mut sights)| {
                sights.sort();
                Seen { service, version, sights }
            })
            .collect(),
        unversioned,
        roles: witness
            .roles
            .as_ref()
            .map(|roles| roles.iter().map(|one| (one.role.clone(), one.access.clone())).collect()),
        usages,
        bad_manifests,
        dependents: witness.dependents.clone(),
        bound: witness.bound.clone(),
        streams: witness.streams.clone(),
        windows: Vec::new(),
        sampled: Vec::new(),
        gaps: inventory.gaps.clone(),
    }
}

fn state_of(age: Duration, policy: &GatePolicy) -> Option<State> {
    if age <= policy.heartbeat_ttl {
        Some(State::Live)
    } else if age <= policy.heartbeat_ttl + policy.drain {
        Some(State::Draining)
    } else {
        None
    }
}

/// `service@version#instance`.
fn named(application: &str) -> Option<(&str, &str)> {
    let (service, rest) = application.split_once('@')?;
    let version = rest.split('#').next().unwrap_or(rest);
    (!service.is_empty() && !version.is_empty()).then_some((service, version))
}

fn count(unversioned: &mut Vec<Unversioned>, session: &Connected) {
    let known = unversioned
        .iter_mut()
        .find(|one| one.role == session.role && one.application == session.application);
    match known {
        Some(one) => one.count += 1,
        None => unversioned.push(Unversioned {
            role: session.role.clone(),
            application: session.application.clone(),
            count: 1,
        }),
    }
}

fn seconds(age: Duration) -> String {
    format!("{} s", age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_name_their_version() {
        for (name, expected) in [
            ("api@1.4.2#pod-7", Some(("api", "1.4.2"))),
            ("api@9f3c", Some(("api", "9f3c"))),
            ("psql", None),
            ("@1", None),
            ("api@", None),
            ("api@#x", None),
        ] {
            assert_eq!(named(name), expected, "{name}");
        }
    }
}
