use std::fmt::Write;

use super::super::markup::text;
use super::super::page::page;
use super::{
    Fact, PlanView, about, approved, asks, facts, hazard_word, question, statements, story,
};
use crate::plan::{Blocks, Held, Lock, Phase, Plan, Step};

/// Plans as a page: what happens when, what is locked, every statement, and a block to sign.
pub fn render_plans_html(views: &[PlanView<'_>]) -> String {
    let title = match views {
        [one] => format!("{} — plan", one.plan.migration),
        _ => "zdmig plans".to_owned(),
    };
    let mut body = String::new();
    if views.is_empty() {
        body.push_str("<h1>Nothing is pending</h1>\n");
    }
    if views.len() > 1 {
        let _ = writeln!(body, "<h1>{} plans</h1>\n<nav aria-label=\"plans\"><ul>", views.len());
        for view in views {
            let (short, name) = (view.plan.fingerprint.short(), view.plan.migration.to_string());
            let _ = writeln!(body, "<li><a href=\"#plan-{short}\">{}</a></li>", text(&name));
        }
        body.push_str("</ul></nav>\n");
    }
    let heading = if views.len() > 1 { 2 } else { 1 };
    for view in views {
        one(view, heading, &mut body);
    }
    page(&title, &body)
}

fn one(view: &PlanView<'_>, heading: u8, body: &mut String) {
    let plan = view.plan;
    let _ = writeln!(
        body,
        "<article>\n<h{heading} id=\"plan-{}\">{}</h{heading}>\n<p class=\"dim\">plan <code>{}</code> for {}</p>",
        plan.fingerprint.short(),
        text(&plan.migration.to_string()),
        plan.fingerprint,
        text(&plan.product)
    );
    let below = heading + 1;
    timeline(plan, body);
    hazards(view, below, body);
    premises(plan, below, body);
    locks(plan, below, body);
    let mut number = 0;
    for phase in Phase::ALL {
        steps(plan, phase, below, &mut number, body);
    }
    dependents(plan, below, body);
    let asked = asks(plan);
    if !asked.is_empty() {
        let _ = writeln!(body, "<h{below}>The gate will ask</h{below}>\n<ul>");
        for words in asked {
            let _ = writeln!(body, "<li>{}</li>", text(&words));
        }
        body.push_str("</ul>\n");
    }
    approval(view, below, body);
    body.push_str("</article>\n");
}

/// The phases in their order, with what happens between them.
fn timeline(plan: &Plan, body: &mut String) {
    body.push_str("<ol class=\"phases\" aria-label=\"phases\">\n");
    for chapter in story(plan) {
        if let Some(between) = chapter.before {
            let _ = writeln!(body, "<li class=\"between\">{between}</li>");
        }
        let word = chapter.phase.word();
        let name = match plan.phase(chapter.phase).next() {
            Some(_) => format!("<a href=\"#{word}-{}\">{word}</a>", plan.fingerprint.short()),
            None => word.to_owned(),
        };
        let lines = [chapter.steps, chapter.costs, chapter.takes];
        let _ = write!(body, "<li><strong>{name}</strong>");
        for line in lines.iter().filter(|one| !one.is_empty()) {
            let _ = write!(body, "<br><span class=\"dim\">{}</span>", text(line));
        }
        body.push_str("</li>\n");
    }
    body.push_str("</ol>\n");
}

fn hazards(view: &PlanView<'_>, heading: u8, body: &mut String) {
    if view.plan.hazards.is_empty() {
        return;
    }
    let _ = writeln!(body, "<h{heading}>Hazards</h{heading}>\n<ul>");
    for hazard in &view.plan.hazards {
        let word = hazard_word(hazard);
        let class = match word {
            "denied" => "bad",
            "warning" => "warn",
            _ => "dim",
        };
        let why = hazard.allowed.as_ref().unwrap_or(&hazard.remedy);
        let _ = writeln!(
            body,
            "<li><strong class=\"{class}\">{word}</strong> <code>{}</code> {}<br><span class=\"dim\">→ {}</span>",
            text(&hazard.code),
            text(&hazard.message),
            text(why)
        );
        if let (Some(place), Some(statement)) = (view.place(hazard), view.statement(hazard)) {
            let _ = writeln!(
                body,
                "<details><summary>{}</summary><pre>{}</pre></details>",
                text(&place),
                text(statement)
            );
        }
        body.push_str("</li>\n");
    }
    body.push_str("</ul>\n");
}

fn premises(plan: &Plan, heading: u8, body: &mut String) {
    if plan.premises.is_empty() {
        return;
    }
    let _ = writeln!(
        body,
        "<h{heading}>Before anything</h{heading}>\n<p class=\"dim\">Asked once; refused where a row is found, and nothing is changed.</p>\n<ol class=\"steps\">"
    );
    for premise in &plan.premises {
        let asked = question(premise);
        let _ = writeln!(
            body,
            "<li><p>rows of {} fit {}</p><details><summary>the question</summary><pre>{}</pre></details></li>",
            text(&premise.verify.table.to_string()),
            text(&premise.about),
            text(&asked)
        );
    }
    body.push_str("</ol>\n");
}

/// What is locked, the strongest first within each phase, with a bar as long as it is held.
fn locks(plan: &Plan, heading: u8, body: &mut String) {
    let mut rows: Vec<(&Step, &Lock)> = Vec::new();
    for step in &plan.steps {
        rows.extend(step.lowered.locks.iter().map(|lock| (step, lock)));
    }
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|(step, lock)| (step.phase, std::cmp::Reverse((lock.blocks, lock.held))));
    let _ = writeln!(
        body,
        "<h{heading} id=\"locks-{0}\">Locks</h{heading}>\n<div class=\"wide\" role=\"region\" aria-labelledby=\"locks-{0}\" tabindex=\"0\"><table>\n\
         <thead><tr><th scope=\"col\">phase</th><th scope=\"col\">on</th><th scope=\"col\">mode</th><th scope=\"col\">what waits</th>\
         <th scope=\"col\">how long</th><th scope=\"col\">step</th></tr></thead>\n<tbody>",
        plan.fingerprint.short()
    );
    for (step, lock) in rows {
        let class = match lock.blocks {
            Blocks::Everything => "bad",
            Blocks::Writes => "warn",
            Blocks::SameRows | Blocks::Nobody => "dim",
        };
        let held = match lock.held {
            Held::Instant => "instant",
            Held::PerChunk => "chunk",
            Held::WhileScanning => "scan",
            Held::WhileRewriting => "rewrite",
        };
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{}</td>\
             <td><span class=\"bar {held} {class}\" aria-hidden=\"true\"></span>{}</td><td>{}</td></tr>",
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

fn steps(plan: &Plan, phase: Phase, heading: u8, number: &mut usize, body: &mut String) {
    let steps: Vec<&Step> = plan.phase(phase).collect();
    if steps.is_empty() {
        return;
    }
    let below = heading + 1;
    let _ = writeln!(
        body,
        "<h{heading} id=\"{0}-{1}\">{0}</h{heading}>\n<p class=\"dim\">{2}</p>\n<ol class=\"steps\">",
        phase.word(),
        plan.fingerprint.short(),
        about(phase, &steps)
    );
    for step in steps {
        *number += 1;
        let all = statements(step);
        let _ = writeln!(
            body,
            "<li><h{below}>{number}. {}</h{below}>\n<details open><summary>{}</summary><pre>{}</pre></details>\n<dl>",
            text(step.id.slug()),
            if all.len() == 1 { "statement" } else { "statements" },
            text(&all.join("\n"))
        );
        for fact in facts(step) {
            match fact {
                Fact::Said(name, words) => {
                    let _ = writeln!(body, "<dt>{name}</dt><dd>{}</dd>", text(&words));
                }
                Fact::Runs(name, sql) => {
                    let _ = writeln!(
                        body,
                        "<dt>{name}</dt><dd><code class=\"sql\">{}</code></dd>",
                        text(&sql)
                    );
                }
            }
        }
        body.push_str("</dl></li>\n");
    }
    body.push_str("</ol>\n");
}

/// What hangs on the columns that go.
fn dependents(plan: &Plan, heading: u8, body: &mut String) {
    let all = plan.dependents();
    if all.is_empty() {
        return;
    }
    let _ = writeln!(body, "<h{heading}>What hangs on it</h{heading}>\n<ul>");
    for one in all {
        let (class, word) = if one.stays { ("good", "carried over") } else { ("warn", "goes too") };
        let _ = writeln!(
            body,
            "<li><span class=\"{class}\">{word}</span>: {} <code>{}</code></li>",
            one.kind,
            text(&one.name)
        );
    }
    body.push_str("</ul>\n");
}

fn approval(view: &PlanView<'_>, heading: u8, body: &mut String) {
    let plan = view.plan;
    let id = text(&plan.migration.to_string());
    let _ = writeln!(
        body,
        "<section class=\"approval\" aria-label=\"approval\">\n<h{heading}>Approval</h{heading}>\n<p>This page is of the plan with \
         the fingerprint <code>{0}</code>, and of no other. It runs as it is, or not at all.</p>\n",
        plan.fingerprint,
    );
    match plan.denied().next() {
        Some(hazard) => {
            let _ = writeln!(
                body,
                "<p class=\"bad\">It is denied for <code>{}</code> and cannot be run.</p>\n</section>",
                text(&hazard.code)
            );
        }
        None => {
            let _ = writeln!(
                body,
                "<dl><dt>approve</dt><dd><code>zdmig approve {id} --fingerprint {}</code></dd>\
                 <dt>run</dt><dd><code>zdmig expand {id}</code></dd></dl>",
                plan.fingerprint.short()
            );
            for words in approved(view) {
                let _ = writeln!(body, "<p>{}</p>", text(&words));
            }
            body.push_str("</section>\n");
        }
    }
}
