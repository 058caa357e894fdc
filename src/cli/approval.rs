//! Whether enough people have approved a plan.

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::dialect::Approval;
use crate::plan::Plan;
use crate::report::render_difference;

/// Who approved exactly this plan, each once.
pub(super) fn of(plan: &Plan, approvals: &[Approval]) -> Vec<String> {
    let fits = |one: &&Approval| one.fingerprint == plan.fingerprint.as_str();
    let mut names: Vec<String> = approvals.iter().filter(fits).map(|one| one.who.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Refuses a plan that fewer people have approved than the configuration wants, or that is not the
/// one they approved.
pub(super) async fn granted(plan: &Plan, context: &Context<'_>) -> Result<(), Failure> {
    let wanted = context.settings.require_approval.value;
    if wanted == 0 {
        return Ok(());
    }
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    let approvals = observer.approvals(&plan.migration.to_string()).await?;
    judged(plan, &approvals, wanted)
}

fn judged(plan: &Plan, approvals: &[Approval], wanted: u32) -> Result<(), Failure> {
    let names = of(plan, approvals);
    if names.len() >= wanted as usize {
        return Ok(());
    }
    let short = plan.fingerprint.short();
    let next = format!(
        "review it with `zdmig plan {0}`, then: zdmig approve {0} --fingerprint {short}",
        plan.migration
    );
    let other = approvals.iter().rev().find(|one| one.fingerprint != plan.fingerprint.as_str());
    if let (true, Some(other)) = (names.is_empty(), other) {
        let changed = match Plan::from_json(&other.plan) {
            Ok(before) => render_difference(&plan.difference(&before)),
            Err(error) => format!("  ~ the approved plan cannot be read: {error}\n"),
        };
        let before = other.fingerprint.get(..10).unwrap_or(&other.fingerprint);
        return Err(Failure::new(
            Exit::Drift,
            format!(
                "`{}` has changed since {} approved it: plan {before} is {short} now\n{}",
                plan.migration,
                other.who,
                changed.trim_end()
            ),
        )
        .hint(next));
    }
    let by = if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") };
    Err(Failure::new(
        Exit::Refused,
        format!(
            "plan {short} of `{}` is approved by {by}, and `require_approval` wants {wanted}",
            plan.migration
        ),
    )
    .hint(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(fingerprint: &str) -> Plan {
        let plan = serde_json::json!({
            "zdmig_plan": 1, "migration": "1_a", "checksum": "text1:0", "product": "any",
            "fingerprint": fingerprint, "expects": {}, "premises": [], "steps": [],
            "requirement": { "targets": [] }, "hazards": [], "touches": [],
        });
        serde_json::from_value(plan).expect("a plan")
    }

    fn approval(who: &str, fingerprint: &str) -> Approval {
        Approval {
            fingerprint: fingerprint.into(),
            who: who.into(),
            role: None,
            at: chrono::DateTime::UNIX_EPOCH,
            plan: String::new(),
        }
    }

    #[test]
    fn people_count_once_and_for_one_plan() {
        let all = [approval("ann", "a"), approval("ann", "a"), approval("ben", "b")];
        assert_eq!(of(&plan("a"), &all), ["ann"]);
        assert!(judged(&plan("a"), &all, 1).is_ok());
        let few = judged(&plan("a"), &all, 2).expect_err("ben approved another");
        assert!(few.message().contains("approved by ann"), "{}", few.message());
        let changed = judged(&plan("c"), &all, 1).expect_err("nobody approved this one");
        assert!(changed.message().contains("changed since ben"), "{}", changed.message());
    }
}
