//! Evidence in, verdict out. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::evidence::{By, Evidence, Seen, Sight, State, Unversioned};
use super::policy::{Consumer, GatePolicy};
use super::runtime::observed;
use super::usage::{Hit, Usage};
use super::verdict::{Permit, Reason, Severity, Verdict, VersionLine};
use crate::plan::{Fingerprint, Plan, Requirement};
use crate::sql::without_values;

/// How old evidence may be when it is judged.
const FRESH: Duration = Duration::from_mins(1);

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The plan whose contract is asked about.
    pub plan: &'a Plan,
    /// Whether its backfill is done and proved.
    pub backfilled: bool,
    /// How long the soak still lasts, for a purge.
    pub soaking: Option<Duration>,
    /// For how long everything has been filled, where it is.
    pub age: Option<Duration>,
    /// How long the last brownout lasted, and whose statements failed in it: nobody's where it passed.
    /// `None` where there was none.
    pub browned: Option<(Duration, &'a [String])>,
    /// Whether there can be one.
    pub dimmable: bool,
}

impl<'a> Question<'a> {
    /// About a plan whose phases before contract are done, and that nothing else was tried of.
    pub fn ready(plan: &'a Plan) -> Self {
        Self { plan, backfilled: true, soaking: None, age: None, browned: None, dimmable: false }
    }
}

/// Decides. A PASS needs a complete and fresh answer to both questions, which versions can
/// still run and what each of them uses; anything missing is UNKNOWN.
pub fn judge(
    question: &Question<'_>,
    evidence: &Evidence,
    policy: &GatePolicy,
    now: DateTime<Utc>,
) -> Verdict {
    let mut bench = Bench::default();
    let requirement = &question.plan.requirement;
    if !question.backfilled {
        bench.refuse(
            "E_BACKFILL",
            "",
            "expand and backfill are not done, or not proved".into(),
            format!("run `zdmig expand {0}`, then `zdmig backfill {0}`", question.plan.migration),
        );
    }
    if let Some(age) = question.age.filter(|age| *age < policy.min_age) {
        let left = policy.min_age.saturating_sub(age).as_secs().max(1);
        bench.unknown(
            "U_TOO_SOON",
            "",
            format!("`min_age` lasts for another {left} s since everything was filled"),
            "wait, or shorten `min_age` in zdmig.toml".into(),
        );
    }
    if let Some(left) = question.soaking.filter(|left| !left.is_zero()) {
        bench.refuse(
            "E_SOAK",
            "",
            format!("the soak lasts for another {} s", left.as_secs().max(1)),
            "wait, or shorten `soak` in zdmig.toml".into(),
        );
    }
    if !requirement.targets.is_empty() {
        bench.freshness(evidence, now);
        bench.dependents(question.plan, evidence, policy, now);
        bench.streams(question.plan, evidence, policy);
        bench.world(evidence, policy, now);
        bench.versions(requirement, evidence, policy);
        bench.sampled(&evidence.sampled, policy);
        bench.runtime(&evidence.windows, policy);
        bench.brownout(question, policy);
    }
    bench.verdict(question.plan, evidence)
}

#[derive(Default)]
pub(super) struct Bench {
    reasons: Vec<Reason>,
    versions: Vec<VersionLine>,
}

impl Bench {
    pub(super) fn refuse(
        &mut self,
        code: &'static str,
        subject: &str,
        message: String,
        remedy: String,
    ) {
        let subject = subject.to_owned();
        self.reasons.push(Reason { code, severity: Severity::Refuse, subject, message, remedy });
    }

    /// Whether such a reason was found already, of a subject that begins so.
    pub(super) fn has(&self, code: &str, subject: &str) -> bool {
        self.reasons.iter().any(|one| one.code == code && one.subject.starts_with(subject))
    }

    pub(super) fn unknown(
        &mut self,
        code: &'static str,
        subject: &str,
        message: String,
        remedy: String,
    ) {
        let subject = subject.to_owned();
        self.reasons.push(Reason { code, severity: Severity::Unknown, subject, message, remedy });
    }

    fn freshness(&mut self, evidence: &Evidence, now: DateTime<Utc>) {
        let age = (now - evidence.at).abs().to_std().unwrap_or(Duration::MAX);
        if age > FRESH {
            self.unknown(
                "U_STALE",
                "",
                format!("the evidence is {} s old", age.as_secs()),
                "ask again".into(),
            );
        }
        self.gaps(evidence);
    }

    fn gaps(&mut self, evidence: &Evidence) {
        for gap in &evidence.gaps {
            self.unknown(
                "U_GAP",
                &without_values(gap),
                gap.clone(),
                "mend that source, then ask again".into(),
            );
        }
    }

    /// The closed world: everything that could touch a target is somebody we know.
    fn world(&mut self, evidence: &Evidence, policy: &GatePolicy, now: DateTime<Utc>) {
        if policy.consumers.is_empty() {
            self.unknown(
                "U_NO_CONSUMERS",
                "",
                "zdmig.toml declares no consumer, so nobody is known to be asked about".into(),
                "add `[[consumer]]` with `name` and `roles` for everything that uses the database"
                    .into(),
            );
        }
        for (role, access) in evidence.roles.iter().flatten() {
            if !is_known(role, policy, now) {
                self.unknown(
                    "U_UNMAPPED_ROLE",
                    role,
                    format!("login role `{role}` may {access}, and no consumer claims it"),
                    format!(
                        "add it to a consumer's `roles`, waive it with `[[waive]]` role = \
                         \"{role}\" and a reason, or revoke what it has"
                    ),
                );
            }
        }
        for session in &evidence.unversioned {
            self.session(session, evidence, policy, now);
        }
        for (place, message) in &evidence.bad_manifests {
            self.unknown(
                "U_BAD_MANIFEST",
                place,
                format!("the usage manifest {place} cannot be read: {message}"),
                "mend it and publish it again under a new version".into(),
            );
        }
    }

    fn session(
        &mut self,
        session: &Unversioned,
        evidence: &Evidence,
        policy: &GatePolicy,
        now: DateTime<Utc>,
    ) {
        if waived(&session.role, policy, now) {
            return;
        }
        let claimed: Vec<&Consumer> =
            policy.consumers.iter().filter(|one| one.roles.contains(&session.role)).collect();
        let beats = |one: &&Consumer| {
            one.unnamed_sessions
                && evidence.seen.iter().any(|seen| {
                    seen.service == one.name
                        && seen.sights.iter().any(|one| one.state == State::Live)
                })
        };
        let watched = |one: &&Consumer| observed(one, &evidence.windows, policy);
        if !claimed.is_empty() && claimed.iter().all(|one| beats(one) || watched(one)) {
            return;
        }
        let name = if session.application.is_empty() { "no name" } else { &session.application };
        self.unknown(
            "U_UNVERSIONED",
            &format!("{} {}", session.role, session.application),
            format!(
                "{} of role `{}` ({name}) {} not say which version {}",
                if session.count == 1 {
                    "a session".into()
                } else {
                    format!("{} sessions", session.count)
                },
                session.role,
                if session.count == 1 { "does" } else { "do" },
                if session.count == 1 { "it is" } else { "they are" },
            ),
            "let it set application_name to `service@version#instance`, or end it; a consumer \
             that sends heartbeats can have `unnamed_sessions = true`"
                .into(),
        );
    }

    fn versions(&mut self, requirement: &Requirement, evidence: &Evidence, policy: &GatePolicy) {
        for consumer in &policy.consumers {
            let seen = evidence.seen.iter().any(|seen| seen.service == consumer.name);
            if !seen && !consumer.idle && !consumer.observed {
                let name = &consumer.name;
                self.unknown(
                    "U_EMPTY",
                    name,
                    format!("no version of `{name}` is known, and none at all is suspicious"),
                    format!(
                        "let it send heartbeats, name its sessions, or run `zdmig deploy record \
                         --service {name} --version …`; a consumer that may be absent has `idle = true`"
                    ),
                );
            }
        }
        for seen in &evidence.seen {
            self.version(seen, requirement, evidence, policy);
        }
    }

    fn version(
        &mut self,
        seen: &Seen,
        requirement: &Requirement,
        evidence: &Evidence,
        policy: &GatePolicy,
    ) {
        let named = format!("{}@{}", seen.service, seen.version);
        let Some(Sight { state, how: source, .. }) = seen.sights.first() else { return };
        let about = about(seen, *state);
        let mut line = VersionLine {
            service: seen.service.clone(),
            version: seen.version.clone(),
            state: *state,
            source: seen_by(seen),
            uses: "-".into(),
        };
        let of = |((service, version), _): &&((String, String), Usage)| {
            *service == seen.service && *version == seen.version
        };
        let usages: Vec<&Usage> =
            evidence.usages.iter().filter(of).map(|(_, usage)| usage).collect();
        let consumer = policy.consumers.iter().find(|one| one.name == seen.service);
        let observed = consumer.is_some_and(|one| observed(one, &evidence.windows, policy));
        if usages.is_empty() && observed {
            line.uses = "not seen to".into();
        } else if usages.is_empty() {
            line.uses = "?".into();
            self.unknown(
                "U_NO_USAGE",
                &about,
                format!("{named} is {} ({source}), and nothing says what it uses", word(*state)),
                format!(
                    "publish its manifest with `zdmig usage publish FILE`, or {}",
                    until_gone(seen, *state)
                ),
            );
        }
        for usage in usages {
            self.usage(usage, (seen, *state, source), requirement, &mut line);
        }
        self.versions.push(line);
    }

    /// What one manifest of a version says.
    fn usage(
        &mut self,
        usage: &Usage,
        (seen, state, source): (&Seen, State, &str),
        requirement: &Requirement,
        line: &mut VersionLine,
    ) {
        let named = format!("{}@{}", seen.service, seen.version);
        let about = about(seen, state);
        if !usage.complete {
            unsure(line);
            self.unknown(
                "U_INCOMPLETE",
                &about,
                format!("the manifest of {named} does not say that it is complete"),
                "set `\"complete\": true` once it lists everything".into(),
            );
        }
        for target in &requirement.targets {
            match usage.hit(target) {
                Hit::None => {}
                Hit::Uses(how) => {
                    line.uses.clone_from(&how);
                    let code = match state {
                        State::Rollback => "E_ROLLBACK",
                        _ => "E_VERSION_USES",
                    };
                    self.refuse(
                        code,
                        &about,
                        format!(
                            "{named} is {} ({source}) and {how}: `{}`",
                            word(state),
                            target.shown()
                        ),
                        until_gone(seen, state),
                    );
                }
                Hit::Unsaid(why) => {
                    unsure(line);
                    self.unknown(
                        "U_UNSAID",
                        &about,
                        format!(
                            "{named} {} `{}` for all we know: {why}",
                            target.ends.words(),
                            target.shown()
                        ),
                        "publish a manifest that says it".into(),
                    );
                }
            }
            for one in usage.suspects(target) {
                unsure(line);
                self.unknown(
                    "U_DYNAMIC_SQL",
                    &about,
                    format!(
                        "{named} has a query at {} that could not be read and may name `{}`",
                        one.at,
                        target.shown()
                    ),
                    "look at it, and write a `waiver` beside it if it is no danger".into(),
                );
            }
        }
    }

    fn verdict(mut self, plan: &Plan, evidence: &Evidence) -> Verdict {
        self.reasons.sort_by_key(|reason| reason.severity);
        let (reasons, versions) = (self.reasons, self.versions);
        if reasons.iter().any(|reason| reason.severity == Severity::Refuse) {
            Verdict::Refuse { reasons, versions }
        } else if reasons.is_empty() {
            let permit = Permit::new(plan.fingerprint.clone(), Fingerprint::of(evidence));
            Verdict::Pass { permit, versions }
        } else {
            Verdict::Unknown { reasons, versions }
        }
    }
}

/// A version as reasons are told apart: that a record was answered for does not cover one that is alive.
fn about(seen: &Seen, state: State) -> String {
    format!("{}@{} {}", seen.service, seen.version, format!("{state:?}").to_lowercase())
}

/// One sight of each kind, and how many there are of it.
fn seen_by(seen: &Seen) -> String {
    let mut said: Vec<String> = Vec::new();
    for kind in [By::Heartbeat, By::Session, By::Source, By::Record] {
        let mut of = seen.sights.iter().filter(|one| one.by == kind);
        let Some(first) = of.next() else { continue };
        said.push(match of.count() {
            0 => first.how.clone(),
            more => format!("{} and {more} more", first.how),
        });
    }
    said.join(", ")
}

/// What is known of a version is told before what is not.
fn unsure(line: &mut VersionLine) {
    if line.uses == "-" {
        line.uses = "?".into();
    }
}

/// How a version comes to its end.
fn until_gone(seen: &Seen, state: State) -> String {
    match state {
        State::Live | State::Draining => "finish the rollout, and wait until it has drained".into(),
        State::Latent => "give it the new version, or delete it".into(),
        State::Rollback => {
            "delete it once it is sure that nobody goes back to it; after contract nobody can"
                .into()
        }
        State::Released => format!(
            "wait until nobody has it any more, then: zdmig release end --service {} --version {}",
            seen.service, seen.version
        ),
        State::Recorded => format!(
            "run `zdmig deploy end --service {} --version {}` once it runs no more",
            seen.service, seen.version
        ),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Live => "live",
        State::Draining => "draining",
        State::Latent => "not running but can start at any time",
        State::Rollback => "kept to be gone back to",
        State::Released => "in the hands of others",
        State::Recorded => "recorded as deployed",
    }
}

fn is_known(role: &str, policy: &GatePolicy, now: DateTime<Utc>) -> bool {
    waived(role, policy, now)
        || policy.consumers.iter().any(|one| one.roles.iter().any(|known| known == role))
}

fn waived(role: &str, policy: &GatePolicy, now: DateTime<Utc>) -> bool {
    policy.waivers.iter().any(|one| one.name == role && one.holds(now))
}

/// Every version that is known to do without what a plan takes away.
pub fn cleared(plan: &Plan, evidence: &Evidence, policy: &GatePolicy) -> Vec<(String, String)> {
    let does_without = |usage: &Usage| {
        usage.complete
            && plan.requirement.targets.iter().all(|target| {
                usage.hit(target) == Hit::None && usage.suspects(target).next().is_none()
            })
    };
    let versions: BTreeMap<&(String, String), bool> =
        evidence.usages.iter().fold(BTreeMap::new(), |mut all, (version, usage)| {
            *all.entry(version).or_insert(true) &= does_without(usage);
            all
        });
    // What a consumer ran stands in for a manifest of its versions.
    let watched = evidence.seen.iter().filter(|seen| {
        let of = policy.consumers.iter().find(|one| one.name == seen.service);
        of.is_some_and(|one| observed(one, &evidence.windows, policy))
    });
    let watched = watched.map(|seen| (seen.service.clone(), seen.version.clone()));
    let known = versions.iter().filter(|(_, clear)| **clear).map(|(version, _)| (*version).clone());
    known.chain(watched.filter(|one| !versions.contains_key(one))).collect()
}

/// Lets all phases run at once where no version is known to be at work: a database for
/// development or tests, or a maintenance window.
pub fn nobody_at_work(plan: &Plan, evidence: &Evidence) -> Verdict {
    let mut bench = Bench::default();
    bench.gaps(evidence);
    for seen in &evidence.seen {
        bench.refuse(
            "E_AT_WORK",
            &seen.service,
            format!("{} {} may be at work on this database", seen.service, seen.version),
            "use expand, backfill and contract here, or stop it and run `zdmig deploy end`".into(),
        );
    }
    bench.verdict(plan, evidence)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::policy::Waiver;
    use super::super::usage::Item;
    use super::*;
    use crate::migration::{Checksum, MigrationId};
    use crate::plan::{FORMAT, Target, Use};
    use crate::sql::{ColumnRef, Ident, TableName};

    fn now() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().expect("a time")
    }

    pub(in crate::gate) fn plan() -> Plan {
        let table = TableName::new(Some("public"), "users");
        let column = ColumnRef::new(&table, &Ident::new("username"));
        Plan {
            zdmig_plan: FORMAT,
            migration: MigrationId::from_stem("1_rename").expect("an id"),
            checksum: Checksum::of(""),
            product: String::new(),
            fingerprint: Fingerprint::stored("f"),
            expects: BTreeMap::new(),
            premises: Vec::new(),
            steps: Vec::new(),
            requirement: Requirement {
                targets: vec![Target { column, ends: Use::Any, replaced_by: None }],
            },
            hazards: Vec::new(),
            touches: Vec::new(),
            reads: Vec::new(),
        }
    }

    fn usage(version: &str, reads: &str) -> ((String, String), Usage) {
        let item = Item { table: "users".into(), read: vec![reads.into()], ..Item::default() };
        let usage = Usage {
            zdmig_usage: 1,
            service: "api".into(),
            version: version.into(),
            complete: true,
            items: vec![item],
            ..Usage::default()
        };
        (("api".into(), version.into()), usage)
    }

    fn seen(version: &str, state: State) -> Seen {
        Seen {
            service: "api".into(),
            version: version.into(),
            sights: vec![Sight { state, by: By::Heartbeat, how: "a test".into() }],
        }
    }

    fn policy() -> GatePolicy {
        GatePolicy {
            env: "production".into(),
            consumers: vec![Consumer {
                name: "api".into(),
                roles: vec!["app".into()],
                ..Consumer::default()
            }],
            functions: Vec::new(),
            waivers: vec![Waiver {
                name: "dba".into(),
                reason: "break glass".into(),
                expires: None,
            }],
            heartbeat_ttl: Duration::from_secs(45),
            drain: Duration::from_mins(2),
            ..GatePolicy::default()
        }
    }

    /// A world in which everything is known and nobody uses the column.
    fn clean() -> Evidence {
        Evidence {
            at: now(),
            seen: vec![seen("2", State::Live)],
            unversioned: Vec::new(),
            roles: Some(vec![
                ("app".into(), "read users.username".into()),
                ("dba".into(), "read".into()),
            ]),
            usages: vec![usage("2", "email")],
            bad_manifests: Vec::new(),
            dependents: Vec::new(),
            bound: Vec::new(),
            streams: Vec::new(),
            windows: Vec::new(),
            sampled: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn ask(evidence: &Evidence, policy: &GatePolicy) -> Verdict {
        let plan = plan();
        judge(&Question::ready(&plan), evidence, policy, now())
    }

    #[track_caller]
    fn case(word: &str, code: &str, change: impl FnOnce(&mut Evidence, &mut GatePolicy)) {
        let (mut evidence, mut policy) = (clean(), policy());
        change(&mut evidence, &mut policy);
        let verdict = ask(&evidence, &policy);
        assert_eq!(verdict.word(), word, "{verdict:?}");
        assert!(verdict.reasons().iter().any(|reason| reason.code == code), "{verdict:?}");
    }

    #[test]
    fn a_clean_world_passes() {
        assert_eq!(ask(&clean(), &policy()).word(), "PASS");
    }

    #[test]
    fn each_flaw_has_its_verdict() {
        case("REFUSE", "E_VERSION_USES", |evidence, _| {
            evidence.seen.push(seen("1", State::Draining));
            evidence.usages.push(usage("1", "username"));
        });
        case("REFUSE", "E_DEPENDENT", |evidence, _| evidence.dependents.push("view v".into()));
        case("REFUSE", "E_CDC", |evidence, _| evidence.streams.push("publication p".into()));
        case("REFUSE", "E_ROLLBACK", |evidence, _| {
            evidence.seen.push(seen("1", State::Rollback));
            evidence.usages.push(usage("1", "username"));
        });
        case("UNKNOWN", "U_NO_USAGE", |evidence, _| evidence.seen.push(seen("3", State::Recorded)));
        case("UNKNOWN", "U_INCOMPLETE", |evidence, _| evidence.usages[0].1.complete = false);
        case("UNKNOWN", "U_EMPTY", |evidence, _| evidence.seen.clear());
        case("UNKNOWN", "U_NO_CONSUMERS", |_, policy| policy.consumers.clear());
        case("UNKNOWN", "U_GAP", |evidence, _| evidence.gaps.push("silent".into()));
        case("UNKNOWN", "U_STALE", |evidence, _| evidence.at -= chrono::TimeDelta::seconds(61));
        case("UNKNOWN", "U_UNMAPPED_ROLE", |evidence, _| {
            evidence.roles = Some(vec![("etl_old".into(), "read".into())]);
        });
        case("UNKNOWN", "U_UNMAPPED_ROLE", |_, policy| {
            policy.waivers[0].expires = Some("2026-11-22".parse().expect("a day"));
        });
        case("UNKNOWN", "U_UNVERSIONED", |evidence, _| {
            let application = String::new();
            evidence.unversioned.push(Unversioned { role: "app".into(), application, count: 1 });
        });
        case("UNKNOWN", "U_BAD_MANIFEST", |evidence, _| {
            evidence.bad_manifests.push(("x.json".into(), "no".into()));
        });
    }

    #[test]
    fn what_was_not_done_before_is_asked_for() {
        let plan = plan();
        let clear = Question { dimmable: true, ..Question::ready(&plan) };
        let who = ["api@1".to_owned()];
        let (soaking, minute) = (Some(Duration::from_secs(5)), Duration::from_mins(1));
        for (question, required, word) in [
            (Question { backfilled: false, ..clear }, false, "REFUSE"),
            (Question { soaking, ..clear }, false, "REFUSE"),
            (Question { browned: Some((minute, &who)), ..clear }, false, "REFUSE"),
            (Question { ..clear }, true, "UNKNOWN"),
            (Question { dimmable: false, ..clear }, true, "PASS"),
            (Question { browned: Some((minute, &[])), ..clear }, true, "PASS"),
            (Question { browned: Some((minute / 2, &[])), ..clear }, true, "UNKNOWN"),
        ] {
            let required = required.then_some(minute);
            let policy = GatePolicy { require_brownout: required, ..policy() };
            let verdict = judge(&question, &clean(), &policy, now());
            assert_eq!(verdict.word(), word, "{question:?}");
        }
        let policy = GatePolicy { min_age: Duration::from_mins(1), ..policy() };
        for (age, word) in [(59, "UNKNOWN"), (60, "PASS")] {
            let question = Question { age: Some(Duration::from_secs(age)), ..clear };
            assert_eq!(judge(&question, &clean(), &policy, now()).word(), word, "{age}");
        }
    }

    prop_compose! {
        fn world()(
            versions in proptest::collection::vec((0..4usize, 0..3usize, 0..3usize, any::<bool>()), 0..5),
            gaps in 0..2usize,
            age in 0..120i64,
            roles in proptest::collection::vec(0..3usize, 0..4),
            unversioned in 0..3usize,
            dependents in 0..2usize,
        ) -> Evidence {
            let mut evidence = clean();
            evidence.seen.clear();
            evidence.usages.clear();
            for (version, state, uses, complete) in versions {
                let version = version.to_string();
                let state = [State::Live, State::Draining, State::Recorded][state];
                evidence.seen.push(seen(&version, state));
                if uses > 0 {
                    let mut usage = usage(&version, ["", "email", "username"][uses]);
                    usage.1.complete = complete;
                    evidence.usages.push(usage);
                }
            }
            evidence.gaps = vec!["silent".into(); gaps];
            evidence.at -= chrono::TimeDelta::seconds(age);
            evidence.roles = Some(
                roles.iter().map(|n| (["app", "dba", "etl"][*n].to_owned(), "read".to_owned())).collect(),
            );
            let session = Unversioned { role: "app".into(), application: "psql".into(), count: 1 };
            evidence.unversioned = vec![session; unversioned / 2];
            evidence.dependents = vec!["view v".into(); dependents];
            evidence
        }
    }

    proptest! {
        /// The gate's promise, said once more in other words than the code's.
        #[test]
        fn a_pass_means_that_everything_was_known_and_clean(evidence in world()) {
            let verdict = ask(&evidence, &policy());
            if verdict.word() != "PASS" {
                prop_assert!(!verdict.reasons().is_empty());
                return Ok(());
            }
            prop_assert!(evidence.gaps.is_empty() && evidence.dependents.is_empty());
            prop_assert!(evidence.unversioned.is_empty());
            prop_assert!((now() - evidence.at).num_seconds() <= 60);
            prop_assert!(!evidence.seen.is_empty());
            prop_assert!(evidence.roles.iter().flatten().all(|(role, _)| role != "etl"));
            for seen in &evidence.seen {
                let mine: Vec<_> = evidence
                    .usages
                    .iter()
                    .filter(|((_, version), _)| *version == seen.version)
                    .collect();
                prop_assert!(!mine.is_empty());
                for (_, usage) in mine {
                    prop_assert!(usage.complete);
                    prop_assert!(usage.items.iter().all(|item| item.read != ["username"]));
                }
            }
        }

        /// More of the world never opens a closed gate, unless the world was empty.
        #[test]
        fn seeing_more_never_opens_a_closed_gate(evidence in world(), version in 0..6usize) {
            let before = ask(&evidence, &policy());
            let mut more = evidence;
            more.seen.push(seen(&version.to_string(), State::Live));
            let after = ask(&more, &policy());
            let was_empty = before.reasons().iter().any(|reason| reason.code == "U_EMPTY");
            if before.word() != "PASS" && !was_empty {
                prop_assert_ne!(after.word(), "PASS");
            }
        }
    }
}
