//! SARIF 2.1.0, for code scanning.

use serde_json::{Value, json};

use super::{CheckReport, FindingLine, whole};
use crate::plan::{HazardCard, Severity, card};

/// The findings of all files as one run.
pub fn render_sarif(report: &CheckReport) -> String {
    let mut codes: Vec<&str> = report.all().map(|(_, finding)| finding.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> =
        codes.iter().map(|code| card(code).map_or_else(|| bare(code), rule)).collect();
    let results: Vec<Value> = report
        .all()
        .map(|(file, finding)| {
            json!({
                "ruleId": finding.code,
                "ruleIndex": codes.iter().position(|code| *code == finding.code),
                "level": level(finding),
                "message": { "text": whole(finding) },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": uri(&file.path) },
                    "region": {
                        "startLine": finding.line, "startColumn": finding.column,
                        "endLine": finding.end_line, "endColumn": finding.end_column,
                    },
                }}],
                "partialFingerprints": { "zdmig/v1": finding.fingerprint },
            })
        })
        .collect();
    let sarif = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "zdmig", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{sarif:#}\n")
}

fn rule(card: &HazardCard) -> Value {
    let help = format!("{}\n\n{}", card.effect, card.remedy);
    json!({
        "id": card.code,
        "shortDescription": { "text": card.condition },
        "fullDescription": { "text": card.effect },
        "help": { "text": help, "markdown": help },
        "defaultConfiguration": { "level": word(card.severity) },
    })
}

/// What a file can be refused for that is no hazard.
fn bare(code: &str) -> Value {
    json!({ "id": code, "defaultConfiguration": { "level": "error" } })
}

fn level(finding: &FindingLine) -> &'static str {
    word(finding.severity)
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Deny => "error",
        Severity::Warn => "warning",
        Severity::Hint => "note",
    }
}

/// A path as a relative reference: what has a meaning there is escaped.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
