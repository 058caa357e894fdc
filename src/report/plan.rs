use super::Pen;
use super::wording::{bytes, counted, duration};
use crate::plan::{Estimate, Hazard, Lock, Phase, Plan, Severity, Step, Undo};

/// A plan for a person: every statement, what it locks, how it is taken back.
pub fn render_plan(plan: &Plan, pen: Pen) -> String {
    let mut out = format!(
        "{}   plan {}   {}\n",
        pen.bold(&plan.migration.to_string()),
        plan.fingerprint.short(),
        plan.product
    );
    if !plan.hazards.is_empty() {
        out.push_str(&format!("\n{}\n", pen.bold("hazards")));
        for hazard in &plan.hazards {
            out.push_str(&render_hazard(hazard, pen));
        }
    }
    out.push_str(&render_premises(plan, pen));
    let mut number = 0;
    for phase in Phase::ALL {
        let steps: Vec<_> = plan.phase(phase).collect();
        if steps.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{}  {}\n", pen.bold(phase.word()), pen.dim(about(phase, &steps))));
        for step in steps {
            number += 1;
            out.push_str(&render_step(number, step, pen));
        }
    }
    out.push_str(&render_requirement(plan, pen));
    let next = match plan.denied().next() {
        Some(_) => "deal with the hazards marked `denied`, then plan again".to_owned(),
        None => format!("zdmig expand {}", plan.migration),
    };
    out.push_str(&format!("\n{}  {next}\n", pen.bold("next")));
    out
}

fn render_premises(plan: &Plan, pen: Pen) -> String {
    if plan.premises.is_empty() {
        return String::new();
    }
    let word = pen.dim("asked once; refused where a row is found, and nothing is changed");
    let mut out = format!("\n{}  {word}\n", pen.bold("before anything"));
    for premise in &plan.premises {
        out.push_str(&format!("  rows of {} fit {}\n", premise.verify.table, premise.about));
        for statement in &premise.after {
            out.push_str(&indented(&format!("{statement};")));
        }
        out.push_str(&indented(&format!("{};", premise.check.sql)));
        if !premise.after.is_empty() {
            out.push_str(&line(pen, "note", "what is made for the question is taken back"));
        }
        for lock in &premise.locks {
            out.push_str(&render_lock(lock, pen));
        }
        if let Some(estimate) = &premise.estimate {
            out.push_str(&render_estimate(estimate, pen));
        }
    }
    out
}

fn render_lock(lock: &Lock, pen: Pen) -> String {
    let (blocks, held) = (lock.blocks.words(), lock.held.words());
    line(pen, "lock", &format!("{} on {}: {blocks}, {held}", lock.mode, lock.object))
}

fn render_estimate(estimate: &Estimate, pen: Pen) -> String {
    line(pen, "size", &estimated(estimate))
}

/// Rows, bytes and time, and on what that rests.
pub(super) fn estimated(estimate: &Estimate) -> String {
    let size = match estimate.bytes {
        0 => counted(estimate.rows, "row"),
        n => format!("{}, {}", counted(estimate.rows, "row"), bytes(n)),
    };
    let time = match estimate.seconds {
        Some(0) => ", under a second".to_owned(),
        Some(n) => format!(", about {}", duration(std::time::Duration::from_secs(n))),
        None => String::new(),
    };
    format!("{size}{time} ({})", estimate.basis)
}

pub(super) fn about(phase: Phase, steps: &[&Step]) -> &'static str {
    let known = |step: &&Step| step.lowered.undo != Undo::Impossible;
    match phase {
        Phase::Expand if !steps.iter().all(known) => {
            "any time before the deploy; holds statements of the author's that zdmig cannot judge"
        }
        Phase::Contract if !steps.iter().all(known) => {
            "behind the gate; holds statements of the author's that cannot be undone"
        }
        Phase::Expand => "only adds; any time before the deploy",
        Phase::Backfill => "fills, proves, then tightens; deploy the new code when it is done",
        Phase::Contract => "behind the gate; can be restored",
        Phase::Purge => "after the soak, behind the gate again; cannot be undone",
    }
}

fn render_hazard(hazard: &Hazard, pen: Pen) -> String {
    let mark = match (hazard.severity(), &hazard.allowed) {
        (_, Some(_)) => pen.dim("allowed"),
        (Severity::Hint | Severity::Warn, None) => pen.warn("warning"),
        (Severity::Deny, None) => pen.bad("denied"),
    };
    let mut out = format!("  {mark}  {}: {}\n", hazard.code, hazard.message);
    match &hazard.allowed {
        Some(because) => out.push_str(&format!("           because {because}\n")),
        None => out.push_str(&format!("           {}\n", hazard.remedy)),
    }
    out
}

fn render_step(number: usize, step: &Step, pen: Pen) -> String {
    let mut out = format!("  {number}. {}\n", step.id.slug());
    for sql in &step.lowered.sql {
        out.push_str(&indented(&format!("{sql};")));
    }
    if step.lowered.sql.is_empty() {
        out.push_str(&indented(&format!("{};", step.lowered.landed.sql)));
        out.push_str(&line(pen, "proof", "goes on only if this finds nothing"));
    }
    if let Some(note) = &step.lowered.note {
        out.push_str(&line(pen, "note", note));
    }
    for lock in &step.lowered.locks {
        out.push_str(&render_lock(lock, pen));
    }
    if let Some(estimate) = &step.estimate {
        out.push_str(&render_estimate(estimate, pen));
    }
    match &step.lowered.undo {
        Undo::Run(sql) => {
            for one in sql {
                out.push_str(&line(pen, "undo", &one.as_str().replace('\n', " ")));
            }
        }
        Undo::Stages { stages, .. } => {
            for (at, stage) in stages.iter().enumerate() {
                let head = if at == 0 { "undo" } else { "then" };
                for one in &stage.sql {
                    out.push_str(&line(pen, head, &one.as_str().replace('\n', " ")));
                }
            }
        }
        Undo::Nothing => {}
        Undo::Stays(why) => out.push_str(&line(pen, "undo", &format!("none: {why}"))),
        Undo::Impossible => out.push_str(&line(pen, "undo", "none")),
    }
    out
}

fn indented(sql: &str) -> String {
    let lines: Vec<_> = sql.lines().map(|line| format!("       {line}\n")).collect();
    lines.concat()
}

fn line(pen: Pen, name: &str, words: &str) -> String {
    format!("     {} {words}\n", pen.dim(&format!("{name:<5}")))
}

fn render_requirement(plan: &Plan, pen: Pen) -> String {
    if plan.requirement.targets.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}\n", pen.bold("the gate will ask"));
    for target in &plan.requirement.targets {
        out.push_str(&format!(
            "  that no version which can still run {} {}",
            target.ends.words(),
            target.shown()
        ));
        if let Some(new) = &target.replaced_by {
            out.push_str(&format!(" (replaced by {new})"));
        }
        out.push('\n');
    }
    out
}
