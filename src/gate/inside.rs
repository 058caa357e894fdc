//! What the database itself says of a target: what rests on it, who is told of it, what a brownout showed.

use chrono::{DateTime, Utc};

use super::evidence::Evidence;
use super::judge::{Bench, Question};
use super::policy::GatePolicy;
use crate::dialect::Bound;
use crate::plan::Plan;

impl Bench {
    /// What rests on a target: functions whose text names it, but for those that somebody looked at, and
    /// what the server knows of that is no part of the plan.
    pub(super) fn dependents(
        &mut self,
        plan: &Plan,
        evidence: &Evidence,
        policy: &GatePolicy,
        now: DateTime<Utc>,
    ) {
        let late = evidence.dependents.iter().filter(|one| !passed(one, policy, now));
        let others = |one: &&Bound| !plan.names(one.schema.as_deref(), &one.name);
        let bound = evidence.bound.iter().filter(others).map(|one| &one.what);
        for dependent in late.chain(bound) {
            self.refuse(
                "E_DEPENDENT",
                dependent,
                format!("{dependent}, and would break"),
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
