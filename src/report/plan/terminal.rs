use super::super::Paper;
use super::super::snippet::hazard_snippet;
use super::super::wording::wrapped;
use super::{
    Fact, PlanView, about, approved, asks, estimated, facts, hazard_word, lock_words, next,
    statements, story,
};
use crate::plan::{Hazard, Phase, Plan, Step};

/// A plan for a person: what happens when, every statement, what it locks, how it is taken back.
/// Words are broken at the paper's width; statements are as they are run.
pub fn render_plan(view: &PlanView<'_>, paper: Paper) -> String {
    let (plan, pen) = (view.plan, paper.pen);
    let mut out = format!(
        "{}   plan {}   {}\n",
        pen.bold(&plan.migration.to_string()),
        plan.fingerprint.short(),
        plan.product
    );
    out.push_str(&chapters(plan, paper));
    if !plan.hazards.is_empty() {
        out.push_str(&format!("\n{}\n", pen.bold("hazards")));
        for hazard in &plan.hazards {
            out.push_str(&render_hazard(view, hazard, paper));
        }
    }
    out.push_str(&premises(plan, paper));
    let mut number = 0;
    for phase in Phase::ALL {
        let steps: Vec<_> = plan.phase(phase).collect();
        if steps.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{}  {}\n", pen.bold(phase.word()), pen.dim(about(phase, &steps))));
        for step in steps {
            number += 1;
            out.push_str(&render_step(number, step, paper));
        }
    }
    out.push_str(&dependents(plan, paper));
    let asked = asks(plan);
    if !asked.is_empty() {
        out.push_str(&format!("\n{}\n", pen.bold("the gate will ask")));
        for words in asked {
            out.push_str(&wrapped("  ", &words, paper.width));
        }
    }
    let approved = approved(view);
    if !approved.is_empty() {
        out.push_str(&format!("\n{}\n", pen.bold("on record")));
        for words in approved {
            out.push_str(&wrapped("  ", &words, paper.width));
        }
    }
    out.push_str(&format!("\n{}  {}\n", pen.bold("next"), next(view)));
    out
}

/// The phases with what each costs, and what happens between them.
fn chapters(plan: &Plan, Paper { pen, width }: Paper) -> String {
    let mut out = String::from("\n");
    for chapter in story(plan) {
        if let Some(between) = chapter.before {
            out.push_str(&format!("  {}\n", pen.dim(&format!("· {between}"))));
        }
        let head = format!("  {:<9} {:<14} ", chapter.phase.word(), chapter.steps);
        let words: Vec<_> =
            [chapter.costs, chapter.takes].into_iter().filter(|one| !one.is_empty()).collect();
        out.push_str(&wrapped(&head, &words.join("; "), width));
    }
    out
}

fn render_hazard(view: &PlanView<'_>, hazard: &Hazard, paper: Paper) -> String {
    let pen = paper.pen;
    let word = hazard_word(hazard);
    let mark = match word {
        "allowed" => pen.dim(word),
        "denied" => pen.bad(word),
        _ => pen.warn(word),
    };
    // The mark may hold escapes, which have no width.
    let said = format!("{}: {}", hazard.code, hazard.message);
    let text = wrapped(&format!("  {word:<7}  "), &said, paper.width);
    let mut out = text.replacen(word, &mark, 1);
    let why = match &hazard.allowed {
        Some(because) => format!("because {because}"),
        None => hazard.remedy.clone(),
    };
    out.push_str(&wrapped("           ", &why, paper.width));
    if let Some(file) = view.file {
        for line in hazard_snippet(file, hazard.span, paper).lines() {
            out.push_str(&format!("    {}\n", line.trim_end()));
        }
    }
    out
}

fn premises(plan: &Plan, paper: Paper) -> String {
    if plan.premises.is_empty() {
        return String::new();
    }
    let word = paper.pen.dim("asked once; refused where a row is found, and nothing is changed");
    let mut out = format!("\n{}  {word}\n", paper.pen.bold("before anything"));
    for premise in &plan.premises {
        out.push_str(&format!("  rows of {} fit {}\n", premise.verify.table, premise.about));
        for statement in &premise.after {
            out.push_str(&indented("       ", &format!("{statement};")));
        }
        out.push_str(&indented("       ", &format!("{};", premise.check.sql)));
        if !premise.after.is_empty() {
            out.push_str(&said("note", "what is made for the question is taken back", paper));
        }
        for lock in &premise.locks {
            out.push_str(&said("lock", &lock_words(lock), paper));
        }
        if let Some(estimate) = &premise.estimate {
            out.push_str(&said("size", &estimated(estimate), paper));
        }
    }
    out
}

fn render_step(number: usize, step: &Step, paper: Paper) -> String {
    let mut out = format!("  {number}. {}\n", step.id.slug());
    for sql in statements(step) {
        out.push_str(&indented("       ", &sql));
    }
    for fact in facts(step) {
        match fact {
            Fact::Said(name, words) => out.push_str(&said(name, &words, paper)),
            Fact::Runs(name, sql) => {
                let head = format!("     {} ", paper.pen.dim(&format!("{name:<5}")));
                let text = indented("           ", &sql);
                out.push_str(&text.replacen("           ", &head, 1));
            }
        }
    }
    out
}

/// What hangs on what goes, so that nobody need look for it among the steps.
fn dependents(plan: &Plan, paper: Paper) -> String {
    let all = plan.dependents();
    let of = |stays: bool| {
        let some = all.iter().filter(|one| one.stays == stays);
        let names: Vec<_> = some.map(|one| format!("{} {}", one.kind, one.name)).collect();
        names.join(", ")
    };
    let mut out = String::new();
    for (head, names) in [("carried over", of(true)), ("goes too", of(false))] {
        if !names.is_empty() {
            let text = wrapped(&format!("{head}  "), &names, paper.width);
            out.push_str(&format!("\n{}", text.replacen(head, &paper.pen.bold(head), 1)));
        }
    }
    out
}

fn said(name: &str, words: &str, paper: Paper) -> String {
    let name = format!("{name:<5}");
    let text = wrapped(&format!("     {name} "), words, paper.width);
    text.replacen(&name, &paper.pen.dim(&name), 1)
}

fn indented(by: &str, sql: &str) -> String {
    let lines: Vec<_> = sql.lines().map(|line| format!("{by}{line}\n")).collect();
    lines.concat()
}
