use serde::Serialize;

use super::{Pen, table};
use crate::gate::{Reason, Severity, Verdict, VersionLine};
use crate::plan::{Plan, Target};

/// A verdict, ready to be written.
#[derive(Debug, Serialize)]
pub struct VerdictReport<'a> {
    /// The version of this format.
    pub zdmig_verdict: u32,
    /// The migration.
    pub migration: String,
    /// The plan's fingerprint.
    pub plan: String,
    /// The environment.
    pub env: &'a str,
    /// PASS, REFUSE or UNKNOWN.
    pub result: &'static str,
    /// When the evidence was gathered.
    pub at: String,
    /// What contract takes away.
    pub targets: &'a [Target],
    /// What speaks against it.
    pub reasons: &'a [Reason],
    /// What was found for each version.
    pub versions: &'a [VersionLine],
    /// Versions that will not work any more once contract ran: they cannot be rolled back
    /// to.
    pub rollback_floor: Vec<String>,
}

impl<'a> VerdictReport<'a> {
    /// Puts a verdict together for writing.
    pub fn new(plan: &'a Plan, verdict: &'a Verdict, env: &'a str, at: String) -> Self {
        let mut floor: Vec<String> = verdict
            .versions()
            .iter()
            .filter(|line| line.uses == "-")
            .map(|line| format!("{}@{}", line.service, line.version))
            .collect();
        floor.dedup();
        Self {
            zdmig_verdict: 1,
            migration: plan.migration.to_string(),
            plan: plan.fingerprint.to_string(),
            env,
            result: verdict.word(),
            at,
            targets: &plan.requirement.targets,
            reasons: verdict.reasons(),
            versions: verdict.versions(),
            rollback_floor: floor,
        }
    }
}

/// What speaks against something, each with what to do about it.
pub fn render_reasons(reasons: &[Reason], pen: Pen) -> String {
    let mut out = String::new();
    for reason in reasons {
        let mark = match reason.severity {
            Severity::Refuse => pen.bad("✗"),
            Severity::Unknown => pen.warn("?"),
        };
        out.push_str(&format!("  {mark} {}  {}\n", reason.code, reason.message));
        out.push_str(&format!("      {} {}\n", pen.dim("→"), reason.remedy));
    }
    out
}

/// For a person.
pub fn render_verdict(report: &VerdictReport<'_>, pen: Pen) -> String {
    let word = match report.result {
        "PASS" => pen.good("PASS"),
        "REFUSE" => pen.bad("REFUSE"),
        _ => pen.warn("UNKNOWN"),
    };
    let mut out = format!("gate {}   {}   {}   {word}\n", report.migration, report.env, report.at);
    for target in report.targets {
        let new = target.replaced_by.as_ref().map(|new| format!(" → {new}")).unwrap_or_default();
        out.push_str(&format!("target {}{new}\n", target.column));
    }
    if report.targets.is_empty() {
        out.push_str("contract takes nothing away that code can use\n");
    }
    if !report.reasons.is_empty() {
        out.push('\n');
    }
    out.push_str(&render_reasons(report.reasons, pen));
    if !report.versions.is_empty() {
        let rows = report
            .versions
            .iter()
            .map(|line| {
                let state = format!("{:?}", line.state).to_lowercase();
                vec![
                    line.service.clone(),
                    line.version.clone(),
                    state,
                    line.uses.clone(),
                    line.source.clone(),
                ]
            })
            .collect();
        let head = ["service", "version", "state", "uses it", "seen by"];
        out.push_str(&format!("\n{}", table(&head, rows)));
    }
    if report.result == "PASS" && !report.targets.is_empty() {
        out.push_str(&format!(
            "\nafter contract only these can run, also in a rollback: {}\n",
            report.rollback_floor.join(", ")
        ));
    }
    out
}
