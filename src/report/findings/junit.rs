//! JUnit's XML, which every CI reads: a case for each file, and a failure where its plan would be refused.

use super::{CheckReport, FileLine, whole};
use crate::plan::Severity;
use crate::report::markup::text;

/// All files as one suite.
pub fn render_junit(report: &CheckReport) -> String {
    let fails = |file: &&FileLine| file.findings.iter().any(|one| one.severity == Severity::Deny);
    let failures: usize = report.of(Severity::Deny).count();
    let failed = report.files.iter().filter(fails).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"zdmig check\" tests=\"{}\" \
         failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n<!-- {failed} files would be refused -->\n",
        report.files.len()
    );
    for file in &report.files {
        let path = xml(&file.path);
        out.push_str(&format!(
            "<testcase classname=\"zdmig.check\" name=\"{path}\" file=\"{path}\""
        ));
        if file.findings.is_empty() {
            out.push_str("/>\n");
            continue;
        }
        out.push_str(">\n");
        let mut said = String::new();
        for one in &file.findings {
            let line =
                format!("{}:{}:{} {}: {}", file.path, one.line, one.column, one.code, whole(one));
            if one.severity == Severity::Deny {
                out.push_str(&format!(
                    "<failure type=\"{}\" message=\"{}\">{}</failure>\n",
                    xml(&one.code),
                    xml(&one.message),
                    xml(&line)
                ));
            } else {
                said.push_str(&line);
                said.push('\n');
            }
        }
        if !said.is_empty() {
            out.push_str(&format!("<system-out>{}</system-out>\n", xml(&said)));
        }
        out.push_str("</testcase>\n");
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

/// Text in XML, without what XML has no way to say.
fn xml(said: &str) -> String {
    let sayable = |letter: char| {
        if letter.is_control() && letter != '\t' && letter != '\n' { '\u{fffd}' } else { letter }
    };
    text(&said.chars().map(sayable).collect::<String>()).replace('\n', "&#10;")
}
