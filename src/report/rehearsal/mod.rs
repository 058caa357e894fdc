//! What a rehearsal found. Whatever one form says, all of them say.

mod plot;

use std::fmt::Write;
use std::time::Duration;

use super::Pen;
use super::markup::{code, plain, text};
use super::page::page;
use super::table::table;
use super::wording::{bytes, counted, duration, grouped};
use crate::rehearsal::{PhaseFigures, Rehearsal, StepLocks};

/// The columns of the phases; `>` is to the right.
const HEAD: [&str; 9] =
    ["phase", "s>", "requests>", "failed>", "p50>", "p99>", "of before>", "waited>", "log>"];

/// The columns of the steps.
const STEPS: [&str; 3] = ["step", "locked", "at most>"];

/// For a person.
pub fn render_rehearsal(found: &Rehearsal, pen: Pen) -> String {
    let mut out = format!("{}\n\n", pen.bold(&title(found)));
    for (name, words) in facts(found) {
        let _ = writeln!(out, "  {} {words}", pen.dim(&format!("{name:<9}")));
    }
    let _ = write!(out, "\n{}", table(&HEAD, found.phases.iter().map(cells).collect()));
    if !found.ways_back.is_empty() {
        let rows = found.ways_back.iter().map(|way| vec![way.from.clone(), seconds(way.seconds)]);
        let _ = write!(out, "\n{}", table(&["back from", "took>"], rows.collect()));
    }
    let steps = steps(found);
    if !steps.is_empty() {
        let _ = write!(out, "\n{}", table(&STEPS, steps));
    }
    out.push('\n');
    for words in beyond(found) {
        let _ = writeln!(out, "{} {words}", pen.bad("✗"));
    }
    let end = outcome(found);
    let _ = writeln!(out, "{}", if found.passed() { pen.good(&end) } else { pen.bad(&end) });
    let _ = writeln!(out, "next: {}", next(found));
    out
}

/// For a program.
pub fn render_rehearsal_json(found: &Rehearsal) -> String {
    serde_json::to_string(found).unwrap_or_default() + "\n"
}

/// For a pull request. What others wrote is text in it, never markup.
pub fn render_rehearsal_markdown(found: &Rehearsal) -> String {
    let mut out = format!("## {}\n\n", plain(&title(found)));
    for (name, words) in facts(found) {
        let _ = writeln!(out, "- {name}: {}", plain(&words));
    }
    markdown_table(&mut out, &HEAD, found.phases.iter().map(cells).collect());
    let ways = found.ways_back.iter().map(|way| vec![way.from.clone(), seconds(way.seconds)]);
    markdown_table(&mut out, &["back from", "took>"], ways.collect());
    markdown_table(&mut out, &STEPS, steps(found));
    out.push('\n');
    for words in beyond(found) {
        let _ = writeln!(out, "- ❌ {}", plain(&words));
    }
    let _ = writeln!(out, "\n**{}** Next: {}", outcome(found), code(&next(found)));
    out
}

/// A table with its rows, and nothing where there are none.
fn markdown_table(out: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let names: Vec<_> = head.iter().map(|name| name.trim_end_matches('>')).collect();
    let rule = head.iter().map(|name| if name.ends_with('>') { "---:" } else { "---" });
    let rule: Vec<_> = rule.collect();
    let _ = writeln!(out, "\n| {} |\n| {} |", names.join(" | "), rule.join(" | "));
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| plain(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

/// As a page of its own, with the latency over time.
pub fn render_rehearsal_html(found: &Rehearsal) -> String {
    let mut body = format!("<h1>{}</h1>\n<dl>\n", text(&title(found)));
    for (name, words) in facts(found) {
        let _ = writeln!(body, "<dt>{}</dt><dd>{}</dd>", text(name), text(&words));
    }
    body.push_str("</dl>\n<h2 id=\"latency\">Latency over time</h2>\n");
    body.push_str(&plot::latency(found));
    html_table(&mut body, ("phases", "Phases"), &HEAD, found.phases.iter().map(cells).collect());
    html_table(&mut body, ("locks", "Locks"), &STEPS, steps(found));
    if !found.ways_back.is_empty() {
        body.push_str("<h2>Ways back</h2>\n<ul>\n");
        for way in &found.ways_back {
            let _ = writeln!(body, "<li>from {}: {}</li>", text(&way.from), seconds(way.seconds));
        }
        body.push_str("</ul>\n");
    }
    let class = if found.passed() { "good" } else { "bad" };
    body.push_str("<h2>Outcome</h2>\n<ul>\n");
    for words in beyond(found) {
        let _ = writeln!(body, "<li class=\"bad\">✗ {}</li>", text(&words));
    }
    let _ = writeln!(body, "</ul>\n<p class=\"{class}\">{}</p>", text(&outcome(found)));
    page(&title(found), &body)
}

/// A table under its heading, and nothing where it has no rows.
fn html_table(
    out: &mut String,
    (id, heading): (&str, &str),
    head: &[&str],
    rows: Vec<Vec<String>>,
) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h2 id=\"{id}\">{heading}</h2>");
    let _ = write!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}\"><table>\n<thead><tr>"
    );
    for name in head {
        let _ = write!(out, "<th scope=\"col\">{}</th>", name.trim_end_matches('>'));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| text(cell)).collect();
        let _ = writeln!(out, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
    }
    out.push_str("</tbody></table></div>\n");
}

/// What each step locked, and how long at most.
fn steps(found: &Rehearsal) -> Vec<Vec<String>> {
    let row = |one: &StepLocks| {
        let locks = one.locks.iter().map(|(table, mode)| format!("{mode} on {table}"));
        let locks: Vec<_> = locks.collect();
        let shown = if locks.is_empty() { "none seen".to_owned() } else { locks.join(", ") };
        vec![one.step.clone(), shown, format!("{:.1} ms", one.held_ms)]
    };
    found.steps.iter().map(row).collect()
}

fn title(found: &Rehearsal) -> String {
    format!(
        "rehearsal of {}   plan {}",
        found.migration,
        found.plan.get(..8).unwrap_or(&found.plan)
    )
}

fn facts(found: &Rehearsal) -> Vec<(&'static str, String)> {
    let rows: Vec<_> =
        found.rows.iter().map(|(name, rows)| format!("{name} {}", grouped(*rows))).collect();
    let mut facts = vec![
        ("on", found.server.clone()),
        ("at", format!("{}, by {}", found.at.format("%Y-%m-%d %H:%M:%S UTC"), found.by)),
        ("rows", rows.join(", ")),
        (
            "load",
            format!(
                "{} requests a second, at most {} at the same time",
                found.rate, found.connections
            ),
        ),
    ];
    for one in &found.workloads {
        let whose = match one.code.as_str() {
            "old" => "old code: it ends before contract",
            "new" => "new code: it begins when all is filled",
            _ => "code of both versions",
        };
        facts.push(("script", format!("{}, {whose}", one.name)));
    }
    if let Some(fill) = found.fill {
        facts.push((
            "backfill",
            format!(
                "{} rows in {}, {} a second, at the pace `{}`",
                grouped(fill.rows),
                duration(Duration::from_secs_f64(fill.seconds)),
                grouped(rate(fill.rows, fill.seconds)),
                found.pace
            ),
        ));
    }
    let (before, after) = found.bytes;
    let log: u64 = found.phases.iter().map(|phase| phase.log_bytes).sum();
    facts.push(("tables", format!("{} before, {} after", bytes(before), bytes(after))));
    facts.push(("log", format!("{} written", bytes(log))));
    facts
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "shown to a person"
)]
fn rate(rows: u64, seconds: f64) -> u64 {
    (rows as f64 / seconds.max(0.001)) as u64
}

fn cells(phase: &PhaseFigures) -> Vec<String> {
    let wait = match phase.lock_wait_ms {
        0 => "–".to_owned(),
        ms => format!("{ms} ms"),
    };
    vec![
        phase.name.clone(),
        format!("{:.1}", millis((phase.ended_ms - phase.begun_ms) * 1_000) / 1e3),
        phase.requests.to_string(),
        phase.errors.to_string(),
        format!("{:.1} ms", millis(phase.p50_us)),
        format!("{:.1} ms", millis(phase.p99_us)),
        phase.p99_ratio.map_or_else(|| "–".into(), |ratio| format!("× {ratio:.2}")),
        wait,
        bytes(phase.log_bytes),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "shown to a person")]
fn millis(us: u64) -> f64 {
    us as f64 / 1e3
}

fn seconds(time: f64) -> String {
    format!("{time:.2} s")
}

/// Every budget that was broken, in words.
fn beyond(found: &Rehearsal) -> Vec<String> {
    let words = |one: &crate::rehearsal::Broken| {
        // The phases in which rows are filled have it in their names.
        let by_the_fill = one.budget == "max_p99_ratio" && one.phase.contains("fill");
        let way_out = if by_the_fill && found.fill.is_some() && found.pace != "gentle" {
            "; a fill at `--pace gentle` costs less"
        } else {
            ""
        };
        format!("{}: {} ({}, {} may be{way_out})", one.phase, one.found, one.budget, one.limit)
    };
    found.broken.iter().map(words).collect()
}

fn outcome(found: &Rehearsal) -> String {
    match found.broken.len() {
        0 => "within its budget".to_owned(),
        n => format!("{} broken", counted(n as u64, "budget")),
    }
}

fn next(found: &Rehearsal) -> String {
    if found.passed() {
        format!("zdmig expand {}", found.migration)
    } else {
        format!("zdmig plan {}", found.migration)
    }
}
