//! A comment for a pull request.

use super::{CheckReport, FindingLine};
use crate::plan::Severity;
use crate::report::counted;
use crate::report::markup::{code, plain};

/// By which whoever posts it finds the comment of the last time, to write over it.
const MARKER: &str = "<!-- zdmig:check -->";

/// What stops a plan in full, the rest folded away.
pub fn render_findings(report: &CheckReport) -> String {
    let denied: Vec<_> = report.of(Severity::Deny).collect();
    let files = counted(report.files.len() as u64, "file");
    let mut out = match denied.len() {
        0 => format!("{MARKER}\n## zdmig check: {files}, nothing to complain about\n"),
        count => {
            let findings = counted(count as u64, "finding");
            format!("{MARKER}\n## zdmig check: {files}, {findings}\n")
        }
    };
    for (file, one) in denied {
        out.push_str(&format!("\n{}", entry(&file.path, one, "❌")));
    }
    let rest: Vec<_> = report.of(Severity::Warn).chain(report.of(Severity::Hint)).collect();
    if !rest.is_empty() {
        let count = rest.len();
        out.push_str(&format!("\n<details><summary>{count} more, which stop nothing</summary>\n"));
        for (file, one) in rest {
            let mark = if one.severity == Severity::Warn { "⚠️" } else { "💡" };
            out.push_str(&format!("\n{}", entry(&file.path, one, mark)));
        }
        out.push_str("\n</details>\n");
    }
    out
}

fn entry(path: &str, one: &FindingLine, mark: &str) -> String {
    let place = code(&format!("{path}:{}:{}", one.line, one.column));
    let mut out =
        format!("- {mark} **{}** {place}  \n  {}\n", plain(&one.code), plain(&one.message));
    if !one.next.is_empty() {
        out.push_str(&format!("  \n  → {}\n", plain(&one.next)));
    }
    out
}
