//! GitLab's code quality report.

use serde_json::json;

use super::{CheckReport, whole};
use crate::plan::Severity;

/// The findings of all files as a list.
pub fn render_code_quality(report: &CheckReport) -> String {
    let list: Vec<_> = report
        .all()
        .map(|(file, finding)| {
            let severity = match finding.severity {
                Severity::Deny => "blocker",
                Severity::Warn => "minor",
                Severity::Hint => "info",
            };
            json!({
                "description": whole(finding), "check_name": finding.code,
                "fingerprint": finding.fingerprint, "severity": severity,
                "location": {
                    "path": file.path,
                    "lines": { "begin": finding.line, "end": finding.end_line },
                },
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(list))
}
