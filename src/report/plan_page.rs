//! A plan for a pull request, and as a page for who must say yes.

use std::fmt::Write;

use super::markup::{code, plain, text};
use super::page::page;
use super::plan::{about, estimated};
use crate::plan::{Blocks, Hazard, Lock, Phase, Plan, Severity, Step, Undo};

/// By which whoever posts it finds the comment of the last time, to write over it.
const MARKER: &str = "<!-- zdmig:plan -->";

/// Plans in Markdown, each step's statements folded away.
pub fn render_plans_markdown(plans: &[Plan]) -> String {
    let mut out = format!("{MARKER}\n");
    if plans.is_empty() {
        out.push_str("## zdmig plan: nothing is pending\n");
    }
    for plan in plans {
        let _ = writeln!(
            out,
            "## {} · plan `{}` · {}\n",
            code(&plan.migration.to_string()),
            plan.fingerprint.short(),
            plan.product
        );
        for hazard in &plan.hazards {
            let (mark, word) = match hazard_word(hazard) {
                "denied" => ("❌", "denied"),
                "allowed" => ("☑️", "allowed"),
                word => ("⚠️", word),
            };
            let why = hazard.allowed.as_ref().unwrap_or(&hazard.remedy);
            let (name, message) = (plain(&hazard.code), plain(&hazard.message));
            let _ = writeln!(out, "- {mark} {word} **{name}** {message}  \n  → {}", plain(why));
        }
        for premise in &plan.premises {
            let (table, fits) = (premise.verify.table.to_string(), plain(&premise.about));
            let _ = writeln!(out, "- ❔ before anything: rows of {} fit {fits}", code(&table));
            let _ = writeln!(out, "\n{}", fence(premise.check.sql.as_str()));
        }
        for phase in Phase::ALL {
            let steps: Vec<&Step> = plan.phase(phase).collect();
            if steps.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n### {}\n\n{}\n", phase.word(), about(phase, &steps));
            for step in steps {
                let locks: Vec<String> = step.lowered.locks.iter().map(lock_words).collect();
                let locks = if locks.is_empty() {
                    String::new()
                } else {
                    format!(" — {}", locks.join("; "))
                };
                let _ = writeln!(
                    out,
                    "<details><summary>{}{}</summary>\n\n{}",
                    text(step.id.slug()),
                    text(&locks),
                    fence(&statements(step))
                );
                for (name, words) in facts(step) {
                    let _ = writeln!(out, "- {name}: {}", plain(&words));
                }
                out.push_str("\n</details>\n\n");
            }
        }
        for words in asks(plan) {
            let _ = writeln!(out, "The gate will ask {}.\n", plain(&words));
        }
    }
    out
}

/// Plans as a page: what happens when, what is locked, every statement, and a block to sign.
pub fn render_plans_html(plans: &[Plan]) -> String {
    let title = match plans {
        [one] => format!("{} — plan", one.migration),
        _ => "zdmig plans".to_owned(),
    };
    let mut body = String::new();
    if plans.is_empty() {
        body.push_str("<h1>Nothing is pending</h1>\n");
    }
    for plan in plans {
        one(plan, &mut body);
    }
    page(&title, &body)
}

fn one(plan: &Plan, body: &mut String) {
    let _ = writeln!(
        body,
        "<h1>{}</h1>\n<p class=\"dim\">plan <code>{}</code> for {}</p>",
        text(&plan.migration.to_string()),
        plan.fingerprint,
        text(&plan.product)
    );
    timeline(plan, body);
    if !plan.hazards.is_empty() {
        body.push_str("<h2>Hazards</h2>\n<ul>\n");
        for hazard in &plan.hazards {
            let word = hazard_word(hazard);
            let class = match word {
                "denied" => "bad",
                "warning" => "warn",
                _ => "dim",
            };
            let why = hazard.allowed.as_ref().unwrap_or(&hazard.remedy);
            let _ = writeln!(
                body,
                "<li><strong class=\"{class}\">{word}</strong> <code>{}</code> {}<br><span class=\"dim\">→ {}</span></li>",
                text(&hazard.code),
                text(&hazard.message),
                text(why)
            );
        }
        body.push_str("</ul>\n");
    }
    if !plan.premises.is_empty() {
        body.push_str("<h2>Before anything</h2>\n<p class=\"dim\">Asked once; refused where a row is found, and nothing is changed.</p>\n<ol class=\"steps\">\n");
        for premise in &plan.premises {
            let _ = writeln!(
                body,
                "<li><h3>rows of {} fit {}</h3><details><summary>the question</summary><pre>{}</pre></details></li>",
                text(&premise.verify.table.to_string()),
                text(&premise.about),
                text(premise.check.sql.as_str())
            );
        }
        body.push_str("</ol>\n");
    }
    locks(plan, body);
    for phase in Phase::ALL {
        let steps: Vec<&Step> = plan.phase(phase).collect();
        if steps.is_empty() {
            continue;
        }
        let _ = writeln!(
            body,
            "<h2 id=\"{0}-{1}\">{0}</h2>\n<p class=\"dim\">{2}</p>\n<ol class=\"steps\">",
            phase.word(),
            plan.fingerprint.short(),
            about(phase, &steps)
        );
        for step in steps {
            let _ = writeln!(
                body,
                "<li><h3>{}</h3>\n<details open><summary>statements</summary><pre>{}</pre></details>\n<dl>",
                text(step.id.slug()),
                text(&statements(step))
            );
            for (name, words) in facts(step) {
                let _ = writeln!(body, "<dt>{name}</dt><dd>{}</dd>", text(&words));
            }
            body.push_str("</dl></li>\n");
        }
        body.push_str("</ol>\n");
    }
    let asked = asks(plan);
    if !asked.is_empty() {
        body.push_str("<h2>The gate will ask</h2>\n<ul>\n");
        for words in asked {
            let _ = writeln!(body, "<li>{}</li>", text(&words));
        }
        body.push_str("</ul>\n");
    }
    let _ = writeln!(
        body,
        "<h2>Approval</h2>\n<p>This page is of the plan with the fingerprint <code>{}</code>, and of no other. It is run by \
         <code>zdmig expand {} --plan FILE</code> as it is, or not at all.</p>",
        plan.fingerprint,
        text(&plan.migration.to_string())
    );
}

/// The phases in their order, with what happens between them.
fn timeline(plan: &Plan, body: &mut String) {
    body.push_str("<ol class=\"phases\" aria-label=\"phases\">\n");
    for phase in Phase::ALL {
        let steps: Vec<&Step> = plan.phase(phase).collect();
        let between = match phase {
            Phase::Expand | Phase::Backfill => None,
            Phase::Contract => Some("deploy the new version, and let the old one end"),
            Phase::Purge => Some("soak"),
        };
        if let Some(between) = between {
            let _ = writeln!(body, "<li class=\"between\">{between}</li>");
        }
        let count = match steps.len() {
            0 => "nothing to do".to_owned(),
            1 => "1 step".to_owned(),
            n => format!("{n} steps"),
        };
        let _ = writeln!(
            body,
            "<li><strong>{}</strong><br><span class=\"dim\">{count}</span></li>",
            phase.word()
        );
    }
    body.push_str("</ol>\n");
}

/// What is locked, the strongest first within each phase.
fn locks(plan: &Plan, body: &mut String) {
    let strength = |lock: &Lock| match lock.blocks {
        Blocks::Everything => 0,
        Blocks::Writes => 1,
        _ => 2,
    };
    let mut rows: Vec<(usize, u8, &Step, &Lock)> = Vec::new();
    for (at, phase) in Phase::ALL.into_iter().enumerate() {
        for step in plan.phase(phase) {
            rows.extend(step.lowered.locks.iter().map(|lock| (at, strength(lock), step, lock)));
        }
    }
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|(at, strength, ..)| (*at, *strength));
    body.push_str(
        "<h2>Locks</h2>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">phase</th><th scope=\"col\">on</th>\
         <th scope=\"col\">mode</th><th scope=\"col\">what waits</th><th scope=\"col\">how long</th><th scope=\"col\">step</th></tr></thead>\n<tbody>\n",
    );
    for (_, strength, step, lock) in rows {
        let class = ["bad", "warn", "dim"][usize::from(strength)];
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{}</td><td>{}</td><td>{}</td></tr>",
            step.phase.word(),
            text(&lock.object),
            text(&lock.mode),
            text(lock.blocks.words()),
            text(lock.held.words()),
            text(step.id.slug())
        );
    }
    body.push_str("</tbody></table></div>\n");
}

fn hazard_word(hazard: &Hazard) -> &'static str {
    match (hazard.severity(), &hazard.allowed) {
        (_, Some(_)) => "allowed",
        (Severity::Deny, None) => "denied",
        (Severity::Hint | Severity::Warn, None) => "warning",
    }
}

fn lock_words(lock: &Lock) -> String {
    format!("{} on {}: {}, {}", lock.mode, lock.object, lock.blocks.words(), lock.held.words())
}

/// What a step runs, or the proof that it is.
fn statements(step: &Step) -> String {
    if step.lowered.sql.is_empty() {
        return format!("{};\n-- goes on only if this finds nothing", step.lowered.landed.sql);
    }
    let all: Vec<String> = step.lowered.sql.iter().map(|sql| format!("{sql};")).collect();
    all.join("\n")
}

/// What there is to know of a step beside its statements.
fn facts(step: &Step) -> Vec<(&'static str, String)> {
    let mut facts: Vec<(&'static str, String)> = Vec::new();
    facts.extend(step.lowered.note.clone().map(|note| ("note", note)));
    facts.extend(step.lowered.locks.iter().map(|lock| ("lock", lock_words(lock))));
    facts.extend(step.estimate.as_ref().map(|one| ("size", estimated(one))));
    match &step.lowered.undo {
        Undo::Run(sql) => facts.extend(sql.iter().map(|one| ("undo", one.to_string()))),
        Undo::Stages { stages, .. } => {
            let all = stages.iter().flat_map(|stage| &stage.sql);
            facts.extend(all.map(|one| ("undo", one.to_string())));
        }
        Undo::Nothing => {}
        Undo::Stays(why) => facts.push(("undo", format!("none: {why}"))),
        Undo::Impossible => facts.push(("undo", "none".into())),
    }
    facts
}

fn asks(plan: &Plan) -> Vec<String> {
    let one = |target: &crate::plan::Target| {
        let new = target.replaced_by.as_ref().map(|new| format!(" (replaced by {new})"));
        format!(
            "that no version which can still run {} {}{}",
            target.ends.words(),
            target.shown(),
            new.unwrap_or_default()
        )
    };
    plan.requirement.targets.iter().map(one).collect()
}

/// A block of code that nothing in it ends.
fn fence(sql: &str) -> String {
    let longest = sql.split(|one| one != '`').map(str::len).max().unwrap_or(0);
    let marks = "`".repeat(longest.max(2) + 1);
    format!("{marks}sql\n{sql}\n{marks}\n")
}
