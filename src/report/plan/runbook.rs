//! The runbook of one migration: each phase's command, what to watch meanwhile, how to take it back, and whom
//! the gate waits for. It says no estimate, so that it is the same for as long as the plan is.

use std::fmt::Write;

use super::super::markup::{code, plain};
use super::asks;
use crate::plan::{Blocks, Held, Phase, Plan, Step, Undo};

/// In Markdown, to be kept beside the migration. `consumers` are the services that the gate asks for.
pub fn render_runbook(plan: &Plan, consumers: &[&str]) -> String {
    let mut out =
        String::from("### Runbook\n\n| when | command | watch | back |\n|---|---|---|---|\n");
    for phase in Phase::ALL {
        let steps: Vec<&Step> = plan.phase(phase).collect();
        let expands = phase == Phase::Expand;
        // Expand takes the plan up, so it is run whatever it has to do.
        if steps.is_empty() && !expands {
            continue;
        }
        let command = format!("zdmig {} {}", verb(phase), plan.migration);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            when(phase),
            code(&command),
            plain(&watch(plan, phase, &steps)),
            back(plan, phase, &steps)
        );
        if phase == Phase::Backfill {
            let wait = format!("zdmig wait {}", plan.migration);
            let _ = writeln!(
                out,
                "| before new code serves | {} or {} | /health of new code says 503 until then | leave the old code where it is |",
                code(&wait),
                code("zdmig can-deploy --service … --version …")
            );
        }
    }
    out.push('\n');
    let asked = asks(plan);
    if asked.is_empty() {
        out.push_str("Contract takes nothing away that code can use: the gate waits for nobody.\n");
    }
    for words in asked {
        let whom: Vec<_> = consumers.iter().map(|name| code(name)).collect();
        let whom = match whom.as_slice() {
            [] => "everybody who may use the database, because zdmig.toml names no `[[consumer]]`"
                .to_owned(),
            names => names.join(", "),
        };
        let _ = writeln!(out, "The gate waits for {whom}: {}.", plain(&words));
    }
    let id = plan.migration.to_string();
    let _ = writeln!(
        out,
        "\nWhere it stands, who is in its way, whom it waits for: {}. Slow: {} and {}. Interrupted, killed, out of time: the \
         same command goes on.\n",
        code("zdmig status"),
        code(&format!("zdmig pause {id}")),
        code(&format!("zdmig resume {id}"))
    );
    out
}

fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Expand => "expand",
        Phase::Backfill => "backfill",
        Phase::Contract => "contract",
        Phase::Purge => "purge",
    }
}

fn when(phase: Phase) -> &'static str {
    match phase {
        Phase::Expand => "before the deploy",
        Phase::Backfill => "then, beside everybody",
        Phase::Contract => "when the old version is gone and not gone back to",
        Phase::Purge => "after the soak",
    }
}

fn watch(plan: &Plan, phase: Phase, steps: &[&Step]) -> String {
    let mut all = Vec::new();
    let locks = steps.iter().flat_map(|step| &step.lowered.locks);
    let worst = locks.max_by_key(|lock| (lock.blocks, lock.held));
    match worst.filter(|lock| lock.blocks > Blocks::SameRows) {
        Some(lock) if lock.held > Held::PerChunk => all.push(format!(
            "{} of {} {}: nobody must need it meanwhile",
            lock.blocks.words(),
            lock.object,
            lock.held.words()
        )),
        Some(lock) => all.push(format!(
            "{} of {} for an instant; who holds it is named, and waited for without holding anybody up",
            lock.blocks.words(),
            lock.object
        )),
        None => {}
    }
    match phase {
        Phase::Expand => all.push("errors of running code that name `zdmig`".into()),
        Phase::Backfill => {
            all.push(
                "p99, lag of replicas, free disk: it eases off by itself, and status says for what"
                    .into(),
            );
        }
        Phase::Contract | Phase::Purge => {
            let targets: Vec<String> =
                plan.requirement.targets.iter().map(|target| target.column.to_string()).collect();
            if !targets.is_empty() {
                all.push(format!("errors that name {}", targets.join(", ")));
            }
        }
    }
    all.join("; ")
}

fn back(plan: &Plan, phase: Phase, steps: &[&Step]) -> String {
    let id = &plan.migration;
    let barred = |step: &&&Step| step.lowered.undo == Undo::Impossible;
    if let Some(step) = steps.iter().find(barred) {
        return format!("none: {} cannot be taken back", code(step.id.slug()));
    }
    match phase {
        Phase::Expand | Phase::Backfill => {
            format!("end the new code, then {}", code(&format!("zdmig rollback {id}")))
        }
        Phase::Contract => {
            let (restore, all) = (format!("zdmig restore {id}"), format!("zdmig rollback {id}"));
            format!("{}, in an instant; all the way {}", code(&restore), code(&all))
        }
        Phase::Purge => "none: what is dropped is gone".to_owned(),
    }
}
