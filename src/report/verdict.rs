use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::verdict_page::{floor, watched};
use super::{Pen, table};
use crate::gate::{Asked, Reason, Severity, Trust, Verdict, VerdictId, VersionLine, Window};
use crate::plan::Target;

/// A verdict, ready to be written.
#[derive(Debug, Serialize)]
pub struct VerdictReport<'a> {
    /// The version of this format.
    pub zdmig_verdict: u32,
    /// The verdict's name, for an override.
    pub id: VerdictId,
    /// Until when it can be overridden.
    pub expires_at: DateTime<Utc>,
    /// The migration.
    pub migration: String,
    /// The plan's fingerprint.
    pub plan: String,
    /// The environment.
    pub env: &'a str,
    /// PASS, REFUSE or UNKNOWN.
    pub result: &'static str,
    /// How much the answer to what can run rests on.
    pub trust: Trust,
    /// When the evidence was gathered.
    pub at: DateTime<Utc>,
    /// What contract takes away.
    pub targets: &'a [Target],
    /// What speaks against it.
    pub reasons: Vec<ReasonLine<'a>>,
    /// What was found for each version.
    pub versions: &'a [VersionLine],
    /// What ran since the windows were opened.
    pub windows: &'a [Window],
    /// Versions that will not work any more once contract ran: they cannot be rolled back
    /// to.
    pub rollback_floor: Vec<String>,
}

/// A reason, and whether a person may answer for it.
#[derive(Debug, Serialize)]
pub struct ReasonLine<'a> {
    /// The reason.
    #[serde(flatten)]
    pub reason: &'a Reason,
    /// Whether a person may answer for it.
    pub overridable: bool,
}

impl<'a> VerdictReport<'a> {
    /// Puts a verdict together for writing. `ttl` is for how long it can be overridden.
    pub fn new(
        asked: &Asked<'a>,
        verdict: &'a Verdict,
        (windows, trust): (&'a [Window], Trust),
        ttl: Duration,
    ) -> Self {
        let plan = asked.plan;
        let mut floor: Vec<String> = verdict
            .versions()
            .iter()
            .filter(|line| line.uses == "-")
            .map(|line| format!("{}@{}", line.service, line.version))
            .collect();
        floor.dedup();
        Self {
            zdmig_verdict: 1,
            id: VerdictId::of(asked, verdict.reasons()),
            expires_at: asked.at + ttl,
            migration: plan.migration.to_string(),
            plan: plan.fingerprint.to_string(),
            env: asked.env,
            result: verdict.word(),
            trust,
            at: asked.at,
            targets: &plan.requirement.targets,
            reasons: verdict
                .reasons()
                .iter()
                .map(|reason| ReasonLine { reason, overridable: reason.overridable() })
                .collect(),
            versions: verdict.versions(),
            windows,
            rollback_floor: floor,
        }
    }
}

/// What speaks against something, each with what to do about it.
pub fn render_reasons<'a>(reasons: impl IntoIterator<Item = &'a Reason>, pen: Pen) -> String {
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
    let at = report.at.format("%Y-%m-%d %H:%M:%S UTC");
    let mut out = format!(
        "gate {}   {}   {at}   {word}   trust {:?}\n",
        report.migration, report.env, report.trust
    );
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
    out.push_str(&render_reasons(report.reasons.iter().map(|one| one.reason), pen));
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
    for said in watched(report).iter().chain(&floor(report)) {
        out.push_str(&format!("\n{said}\n"));
    }
    if !report.reasons.is_empty() && report.reasons.iter().all(|one| one.overridable) {
        let until = report.expires_at.format("%H:%M:%S UTC");
        let text = format!("verdict {}, which can be overridden until {until}", report.id.as_str());
        out.push_str(&format!("\n{}\n", pen.dim(&text)));
    }
    out
}
