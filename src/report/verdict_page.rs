//! A verdict for a pull request, and as a page.

use std::fmt::Write;

use super::markup::{code, plain, text};
use super::page::page;
use super::verdict::VerdictReport;
use crate::gate::Severity;

/// In Markdown. What others wrote is text in it, never markup.
pub fn render_verdict_markdown(report: &VerdictReport<'_>) -> String {
    let mut out = format!(
        "## Gate: {} for {}\n\n{} · {} · trust {:?} · verdict `{}`\n\n",
        report.result,
        code(&report.migration),
        plain(report.env),
        report.at.format("%Y-%m-%d %H:%M:%S UTC"),
        report.trust,
        report.id.as_str(),
    );
    for target in report.targets {
        let _ = write!(out, "Target {}", code(&target.column.to_string()));
        if let Some(new) = &target.replaced_by {
            let _ = write!(out, " → {}", code(&new.to_string()));
        }
        out.push_str("\n\n");
    }
    if report.targets.is_empty() {
        out.push_str("Contract takes nothing away that code can use.\n\n");
    }
    for one in &report.reasons {
        let mark = if one.reason.severity == Severity::Refuse { "❌" } else { "❔" };
        let (code, message) = (one.reason.code, plain(&one.reason.message));
        let _ = writeln!(out, "- {mark} **{code}** {message}  \n  → {}", plain(&one.reason.remedy));
    }
    if !report.versions.is_empty() {
        out.push_str(
            "\n| service | version | state | uses it | seen by |\n|---|---|---|---|---|\n",
        );
    }
    for line in report.versions {
        let cells = [&line.service, &line.version, &state(line), &line.uses, &line.source];
        let cells: Vec<_> = cells.iter().map(|cell| plain(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    for text in watched(report) {
        let _ = write!(out, "\n{}\n", plain(&text));
    }
    if let Some(text) = floor(report) {
        let _ = write!(out, "\n{}\n", plain(&text));
    }
    out
}

/// As a page of its own: no script, nothing from elsewhere.
pub fn render_verdict_html(report: &VerdictReport<'_>) -> String {
    let mut body = format!(
        "<h1><span class=\"{0}\">{0}</span> {1}</h1>\n<p class=\"dim\">{2} · {3} · trust {5:?} · verdict <code>{4}</code></p>\n",
        report.result,
        text(&report.migration),
        text(report.env),
        report.at.format("%Y-%m-%d %H:%M:%S UTC"),
        text(report.id.as_str()),
        report.trust,
    );
    for target in report.targets {
        let new = target.replaced_by.as_ref();
        let new = new.map(|new| format!(" → <code>{}</code>", text(&new.to_string())));
        let column = text(&target.column.to_string());
        let _ = writeln!(body, "<p>Target <code>{column}</code>{}</p>", new.unwrap_or_default());
    }
    if report.targets.is_empty() {
        body.push_str("<p>Contract takes nothing away that code can use.</p>\n");
    }
    if !report.reasons.is_empty() {
        body.push_str("<h2>Reasons</h2>\n<ul>\n");
        for one in &report.reasons {
            let (class, word) = match one.reason.severity {
                Severity::Refuse => ("REFUSE", "refuses"),
                Severity::Unknown => ("UNKNOWN", "not known"),
            };
            let _ = writeln!(
                body,
                "<li><strong class=\"{class}\">{}</strong> <span class=\"dim\">({word})</span><br>{}<br><span class=\"dim\">→ {}</span></li>",
                one.reason.code,
                text(&one.reason.message),
                text(&one.reason.remedy),
            );
        }
        body.push_str("</ul>\n");
    }
    if !report.versions.is_empty() {
        body.push_str(
            "<h2>Versions</h2>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">service</th><th scope=\"col\">version</th>\
             <th scope=\"col\">state</th><th scope=\"col\">uses it</th><th scope=\"col\">seen by</th></tr></thead>\n<tbody>\n",
        );
        for line in report.versions {
            let cells = [&line.service, &line.version, &state(line), &line.uses, &line.source];
            let cells: String =
                cells.iter().fold(String::new(), |row, cell| row + "<td>" + &text(cell) + "</td>");
            let _ = writeln!(body, "<tr>{cells}</tr>");
        }
        body.push_str("</tbody></table></div>\n");
    }
    for said in watched(report).iter().chain(&floor(report)) {
        let _ = writeln!(body, "<p>{}</p>", text(said));
    }
    page(&format!("{} {}", report.result, report.migration), &body)
}

fn state(line: &crate::gate::VersionLine) -> String {
    format!("{:?}", line.state).to_lowercase()
}

/// What was seen of what ran, a sentence for each server.
pub(super) fn watched(report: &VerdictReport<'_>) -> Vec<String> {
    let one = |window: &crate::gate::Window| {
        let open = (window.to - window.from).to_std().unwrap_or_default();
        let open = humantime::format_duration(std::time::Duration::from_secs(open.as_secs()));
        let said = format!("what ran on {} was watched for {open}", window.node);
        match window.flaws.as_slice() {
            [] => said + ", and all of it was seen",
            flaws => said + "; not all of it may have been seen: " + &flaws.join("; "),
        }
    };
    report.windows.iter().map(one).collect()
}

/// What can run afterwards.
pub(super) fn floor(report: &VerdictReport<'_>) -> Option<String> {
    let passes = report.result == "PASS" && !report.targets.is_empty();
    passes.then(|| {
        let list = report.rollback_floor.join(", ");
        format!("after contract only these can run, also in a rollback: {list}")
    })
}
