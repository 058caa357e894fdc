use super::Pen;
use super::wording::{bytes, counted, duration};
use crate::plan::{Hazard, Phase, Plan, Severity, Step, Undo};

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

fn about(phase: Phase, steps: &[&Step]) -> &'static str {
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
        (Severity::Warn, None) => pen.warn("warning"),
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
        let words = format!(
            "{} on {}: {}, {}",
            lock.mode,
            lock.object,
            lock.blocks.words(),
            lock.held.words()
        );
        out.push_str(&line(pen, "lock", &words));
    }
    if let Some(estimate) = &step.estimate {
        let size = match estimate.bytes {
            0 => counted(estimate.rows, "row"),
            n => format!("{}, {}", counted(estimate.rows, "row"), bytes(n)),
        };
        let time = match estimate.seconds {
            Some(0) => ", under a second".to_owned(),
            Some(n) => format!(", about {}", duration(std::time::Duration::from_secs(n))),
            None => String::new(),
        };
        out.push_str(&line(pen, "size", &format!("{size}{time} ({})", estimate.basis)));
    }
    match &step.lowered.undo {
        Undo::Run(sql) => {
            for one in sql {
                out.push_str(&line(pen, "undo", &one.as_str().replace('\n', " ")));
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
