//! SARIF 2.1.0, for code scanning.

use serde_json::{Value, json};

use super::{CheckReport, FindingLine, whole};
use crate::plan::{CARDS, HazardCard, Severity};

/// The findings of all files as one run.
pub fn render_sarif(report: &CheckReport) -> String {
    // Besides the cards, what a file can be refused for without one.
    let others = ["directive", "opaque", "refused", "syntax"];
    let others: Vec<&str> =
        others.into_iter().filter(|code| !CARDS.iter().any(|card| card.code == *code)).collect();
    let known = |code: &str| {
        let cards = CARDS.iter().map(|card| card.code);
        cards.chain(others.iter().copied()).position(|one| one == code)
    };
    let rules: Vec<Value> =
        CARDS.iter().map(rule).chain(others.iter().map(|code| bare(code))).collect();
    let results: Vec<Value> = report
        .all()
        .map(|(file, finding)| {
            let mut result = json!({
                "ruleId": finding.code,
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
            });
            if let (Some(index), Some(fields)) = (known(&finding.code), result.as_object_mut()) {
                fields.insert("ruleIndex".into(), index.into());
            }
            result
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
