//! What the database itself says of a target: what rests on it, who is told of it, what a brownout showed.

use chrono::{DateTime, Utc};

use super::evidence::Evidence;
use super::judge::{Bench, Question};
use super::policy::GatePolicy;
use crate::plan::Plan;

impl Bench {
    /// Functions whose text names a target, but for those that somebody looked at.
    pub(super) fn dependents(
        &mut self,
        evidence: &Evidence,
        policy: &GatePolicy,
        now: DateTime<Utc>,
    ) {
        for dependent in evidence.dependents.iter().filter(|one| !passed(one, policy, now)) {
            self.refuse(
                "E_DEPENDENT",
                dependent,
                format!("{dependent}, and would break"),
                "change it first, in a migration of its own".into(),
            );
        }
    }

    /// What rests on a target and is no part of the plan: made since, or it would be.
    pub(super) fn bound(&mut self, plan: &Plan, evidence: &Evidence) {
        for one in evidence.bound.iter().filter(|one| !plan.names(one.schema.as_deref(), &one.name))
        {
            self.refuse(
                "E_DEPENDENT",
                &one.what,
                format!("{}, and would break", one.what),
                "change it first, in a migration of its own".into(),
            );
        }
    }

    /// Whoever reads a stream is told of changes to what goes, and is in no session here.
    pub(super) fn streams(&mut self, plan: &Plan, evidence: &Evidence, policy: &GatePolicy) {
        let claimed =
            |stream: &String| policy.consumers.iter().any(|one| one.streams.contains(stream));
        for stream in &evidence.streams {
            if !claimed(stream) {
                self.refuse(
                    "E_CDC",
                    stream,
                    format!("{stream} sends it to others, and no consumer claims that"),
                    format!(
                        "add `streams = [\"{stream}\"]` to the `[[consumer]]` that reads it, whose \
                         versions and manifests then count, or take it out of there"
                    ),
                );
            } else if plan.renames_away() {
                self.refuse(
                    "E_CDC",
                    stream,
                    format!(
                        "{stream} sends it to others, who would stop at the rename by which contract \
                         takes it away, and not go on after a restore"
                    ),
                    "take it out of there first; or let an application's role be no superuser, and \
                     plan again: then it is taken away by privileges"
                        .into(),
                );
            }
        }
    }

    /// The scream test: what it showed last, or that there was none.
    pub(super) fn brownout(&mut self, question: &Question<'_>, policy: &GatePolicy) {
        let again = format!("run `zdmig brownout {} --duration 15m`", question.plan.migration);
        match question.browned {
            Some((lasted, [])) => {
                if let Some(wanted) = policy.require_brownout.filter(|wanted| lasted < *wanted) {
                    let (lasted, wanted) =
                        (humantime::format_duration(lasted), humantime::format_duration(wanted));
                    self.unknown(
                        "U_BROWNOUT",
                        "",
                        format!("the last brownout lasted for {lasted}, and {wanted} are wanted"),
                        again,
                    );
                }
            }
            Some((_, who)) => self.refuse(
                "E_BROWNOUT",
                &who.join(", "),
                format!("the last brownout made statements fail: {}", who.join(", ")),
                format!("mend that, then {again}"),
            ),
            None if policy.require_brownout.is_some() && question.dimmable => self.unknown(
                "U_BROWNOUT",
                "",
                "`require_brownout` is set, and there was none".into(),
                again,
            ),
            None => {}
        }
    }
}

/// Whether somebody looked at a function that names a target, and let it through.
fn passed(dependent: &str, policy: &GatePolicy, now: DateTime<Utc>) -> bool {
    let Some(function) = dependent.strip_prefix("function ") else { return false };
    let is = |name: &str| {
        name == "*" || function.strip_prefix(name).is_some_and(|rest| rest.starts_with(" names "))
    };
    policy.functions.iter().any(|one| is(&one.name) && one.holds(now))
}
