//! Commands of GitHub's workflows, which show a finding beside the line.

use super::{CheckReport, whole};
use crate::plan::Severity;

/// A command a line.
pub fn render_annotations(report: &CheckReport) -> String {
    let mut out = String::new();
    for (file, one) in report.all() {
        let kind = match one.severity {
            Severity::Deny => "error",
            Severity::Warn => "warning",
            Severity::Hint => "notice",
        };
        out.push_str(&format!(
            "::{kind} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
            property(&file.path),
            one.line,
            one.end_line,
            one.column,
            one.end_column,
            property(&one.code),
            data(&whole(one)),
        ));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
