use std::fmt::Write;

use super::super::markup::{code, fence, plain, text};
use super::{
    Fact, PlanView, about, approved, asks, facts, hazard_word, lock_words, next, question,
    render_runbook, statements, story,
};
use crate::plan::{Phase, Plan, Step};

/// Plans in Markdown, for a pull request or a job's summary, each step's statements folded away.
/// `scope` tells one project's comment from another's: whoever posts it finds the comment of the
/// last time by the marker on its first line.
pub fn render_plans_markdown(views: &[PlanView<'_>], scope: &str) -> String {
    let scope = scope.replace("--", "- -").replace(['>', '\n'], " ");
    let mut out = format!("<!-- zdmig:plan:{scope} -->\n");
    if views.is_empty() {
        out.push_str("## zdmig plan: nothing is pending\n");
    }
    for view in views {
        let plan = view.plan;
        let _ = writeln!(
            out,
            "## {} · plan `{}` · {}\n",
            code(&plan.migration.to_string()),
            plan.fingerprint.short(),
            plain(&plan.product)
        );
        table(plan, &mut out);
        hazards(view, &mut out);
        premises(plan, &mut out);
        for phase in Phase::ALL {
            steps(plan, phase, &mut out);
        }
        for words in asks(plan) {
            let _ = writeln!(out, "The gate will ask {}.\n", plain(&words));
        }
        let carried = plan.dependents();
        if !carried.is_empty() {
            out.push_str("What hangs on it:\n\n");
            for one in carried {
                let word = if one.stays { "carried over" } else { "goes too" };
                let _ = writeln!(out, "- {word}: {} {}", one.kind, code(&one.name));
            }
            out.push('\n');
        }
        let consumers: Vec<_> = view.consumers.iter().map(String::as_str).collect();
        out.push_str(&render_runbook(plan, &consumers));
        for words in approved(view) {
            let _ = writeln!(out, "- {}", plain(&words));
        }
        let _ = writeln!(out, "Fingerprint `{}`. Next: {}\n", plan.fingerprint, code(&next(view)));
    }
    out
}

fn table(plan: &Plan, out: &mut String) {
    out.push_str("| phase | steps | blocks | takes |\n|---|---|---|---|\n");
    for chapter in story(plan) {
        if let Some(between) = chapter.before {
            let _ = writeln!(out, "| | *{between}* | | |");
        }
        let (phase, steps) = (chapter.phase.word(), &chapter.steps);
        let (costs, takes) = (plain(&chapter.costs), plain(&chapter.takes));
        let _ = writeln!(out, "| **{phase}** | {steps} | {costs} | {takes} |");
    }
    out.push('\n');
}

fn hazards(view: &PlanView<'_>, out: &mut String) {
    for hazard in &view.plan.hazards {
        let word = hazard_word(hazard);
        let mark = match word {
            "denied" => "❌",
            "allowed" => "☑️",
            _ => "⚠️",
        };
        let place = view.place(hazard).map(|place| format!(" ({})", code(&place)));
        let why = hazard.allowed.as_ref().unwrap_or(&hazard.remedy);
        let _ = writeln!(
            out,
            "- {mark} {word} **{}** {}{}  \n  → {}",
            plain(&hazard.code),
            plain(&hazard.message),
            place.unwrap_or_default(),
            plain(why)
        );
    }
}

fn premises(plan: &Plan, out: &mut String) {
    for premise in &plan.premises {
        let (table, fits) = (premise.verify.table.to_string(), plain(&premise.about));
        let _ = writeln!(out, "- ❔ before anything: rows of {} fit {fits}", code(&table));
        let _ = writeln!(out, "\n{}", fence(&question(premise)));
    }
}

fn steps(plan: &Plan, phase: Phase, out: &mut String) {
    let steps: Vec<&Step> = plan.phase(phase).collect();
    if steps.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### {}\n\n{}\n", phase.word(), about(phase, &steps));
    for step in steps {
        let locks: Vec<String> = step.lowered.locks.iter().map(lock_words).collect();
        let locks =
            if locks.is_empty() { String::new() } else { format!(" — {}", locks.join("; ")) };
        let _ = writeln!(
            out,
            "<details><summary>{}{}</summary>\n\n{}",
            text(step.id.slug()),
            text(&locks),
            fence(&statements(step).join("\n"))
        );
        for fact in facts(step) {
            match fact {
                Fact::Said(name, words) => {
                    let _ = writeln!(out, "- {name}: {}", plain(&words));
                }
                Fact::Runs(name, sql) if sql.contains('\n') => {
                    let _ = writeln!(out, "- {name}:\n\n{}", fence(&sql));
                }
                Fact::Runs(name, sql) => {
                    let _ = writeln!(out, "- {name}: {}", code(&sql));
                }
            }
        }
        out.push_str("\n</details>\n\n");
    }
}
