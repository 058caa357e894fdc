//! A plan in the forms in which people read it. Whatever one of them says of a step, all of
//! them say.

mod html;
mod markdown;
mod runbook;
mod terminal;

use std::time::Duration;

use super::wording::{bytes, counted, duration};
use crate::migration::SourceFile;
use crate::plan::{
    Blocks, Estimate, Hazard, Held, Lock, Phase, Plan, Premise, Severity, Step, Target, Undo,
};

pub use html::render_plans_html;
pub use markdown::render_plans_markdown;
pub use runbook::render_runbook;
pub use terminal::render_plan;

/// A plan, and what is known beside it.
#[derive(Debug)]
pub struct PlanView<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The file that it was made from, where it is still what it was.
    pub file: Option<&'a SourceFile>,
    /// Who approved it, in words.
    pub approvals: Vec<String>,
    /// How many people must have.
    pub required: u32,
    /// The services that the gate asks for.
    pub consumers: Vec<String>,
    /// What the latest rehearsal of this very plan found, in words.
    pub rehearsed: Option<String>,
}

impl<'a> PlanView<'a> {
    /// A plan beside the files of its project.
    pub fn new(plan: &'a Plan, files: &'a [SourceFile]) -> Self {
        let fits = |file: &&SourceFile| {
            file.id == plan.migration && file.checksum == plan.checksum && file.lacks.is_none()
        };
        let file = files.iter().find(fits);
        let (approvals, consumers) = (Vec::new(), Vec::new());
        Self { plan, file, approvals, required: 0, consumers, rehearsed: None }
    }

    /// Where a hazard stands: `migrations/1_a.sql:3`.
    fn place(&self, hazard: &Hazard) -> Option<String> {
        let file = self.file?;
        Some(format!("{}:{}", file.path, hazard.span.place(&file.text).line))
    }

    /// The statement that a hazard is about.
    fn statement(&self, hazard: &Hazard) -> Option<&'a str> {
        self.file.map(|file| hazard.span.of(&file.text).trim()).filter(|text| !text.is_empty())
    }
}

/// Rows, bytes and time, and on what that rests.
fn estimated(estimate: &Estimate) -> String {
    let size = match estimate.bytes {
        0 => counted(estimate.rows, "row"),
        n => format!("{}, {}", counted(estimate.rows, "row"), bytes(n)),
    };
    let time = match estimate.seconds {
        Some(0) => ", under a second".to_owned(),
        Some(n) => format!(", about {}", duration(Duration::from_secs(n))),
        None => String::new(),
    };
    format!("{size}{time} ({})", estimate.basis)
}

/// What a phase is, in a line.
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

/// A phase in the story of a plan.
struct Chapter {
    phase: Phase,
    /// `2 steps`, or that there is nothing to do.
    steps: String,
    /// What it costs those who work meanwhile.
    costs: String,
    /// How long it may take, and with how many rows; empty where that is not known.
    takes: String,
    /// What happens between it and the phase before.
    before: Option<&'static str>,
}

/// The phases in their order, those with nothing to do too.
fn story(plan: &Plan) -> Vec<Chapter> {
    Phase::ALL.into_iter().map(|phase| chapter(plan, phase)).collect()
}

fn chapter(plan: &Plan, phase: Phase) -> Chapter {
    let steps: Vec<&Step> = plan.phase(phase).collect();
    let locks = steps.iter().flat_map(|step| &step.lowered.locks);
    let worst = locks.max_by_key(|lock| (lock.blocks, lock.held));
    let costs = match worst {
        _ if steps.is_empty() => String::new(),
        None => "locks nothing that is there".into(),
        Some(lock) if lock.blocks == Blocks::Nobody => "blocks no query".into(),
        Some(lock) => format!("{} of {}, {}", lock.blocks.words(), lock.object, lock.held.words()),
    };
    let known: Vec<_> = steps.iter().filter_map(|step| step.estimate.as_ref()).collect();
    let seconds: Option<u64> = known.iter().map(|one| one.seconds).sum();
    let rows = known.iter().map(|one| one.rows).max();
    let takes = match (rows, seconds) {
        (None, _) => String::new(),
        (Some(rows), None) => counted(rows, "row"),
        (Some(rows), Some(0)) => format!("{}, about a second", counted(rows, "row")),
        (Some(rows), Some(n)) => {
            format!("{}, about {}", counted(rows, "row"), duration(Duration::from_secs(n)))
        }
    };
    Chapter {
        phase,
        steps: match steps.len() {
            0 => "nothing to do".to_owned(),
            n => counted(n as u64, "step"),
        },
        costs,
        takes,
        before: match phase {
            Phase::Expand | Phase::Backfill => None,
            Phase::Contract => Some("deploy the new version, and let the old one end"),
            Phase::Purge => Some("soak"),
        },
    }
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

/// What a step runs, or the question that must find nothing.
fn statements(step: &Step) -> Vec<String> {
    if step.lowered.sql.is_empty() {
        return vec![format!("{};", step.lowered.landed.sql)];
    }
    step.lowered.sql.iter().map(|sql| format!("{sql};")).collect()
}

/// What is asked before anything is done, with what is made for the question alone.
fn question(premise: &Premise) -> String {
    let all = premise.after.iter().chain([&premise.check.sql]);
    all.map(|sql| format!("{sql};")).collect::<Vec<_>>().join("\n")
}

/// One thing to know of a step beside its statements.
enum Fact {
    /// A name and words.
    Said(&'static str, String),
    /// A name and a statement.
    Runs(&'static str, String),
}

/// What there is to know of a step beside its statements.
fn facts(step: &Step) -> Vec<Fact> {
    let mut facts = Vec::new();
    if step.lowered.sql.is_empty() {
        facts.push(Fact::Said("proof", "goes on only if this finds nothing".into()));
    }
    facts.extend(step.lowered.note.clone().map(|note| Fact::Said("note", note)));
    let locks = step.lowered.locks.iter();
    facts.extend(locks.map(|lock| Fact::Said("lock", lock_words(lock))));
    facts.extend(works(step).map(|words| Fact::Said("work", words.into())));
    facts.extend(step.estimate.as_ref().map(|one| Fact::Said("size", estimated(one))));
    match &step.lowered.undo {
        Undo::Run(sql) => facts.extend(sql.iter().map(|one| Fact::Runs("undo", format!("{one};")))),
        Undo::Stages { stages, .. } => {
            for (at, stage) in stages.iter().enumerate() {
                let name = if at == 0 { "undo" } else { "then" };
                facts.extend(stage.sql.iter().map(|one| Fact::Runs(name, format!("{one};"))));
            }
        }
        Undo::Nothing => facts.push(Fact::Said("undo", "nothing to take back".into())),
        Undo::Stays(why) => facts.push(Fact::Said("undo", format!("none: {why}"))),
        Undo::Impossible => facts.push(Fact::Said("undo", "none".into())),
    }
    facts
}

/// Whether a step reads or writes whole tables.
fn works(step: &Step) -> Option<&'static str> {
    match step.lowered.locks.iter().map(|lock| lock.held).max()? {
        Held::Instant => None,
        Held::PerChunk => Some("writes rows, a chunk at a time"),
        Held::WhileScanning => Some("a scan: reads the table once"),
        Held::WhileRewriting => Some("a rewrite: the table or an index is written anew"),
    }
}

/// What the gate will ask, without the word that begins each: `that no version …`.
fn asks(plan: &Plan) -> Vec<String> {
    let one = |target: &Target| {
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

/// What is to be typed next.
fn next(view: &PlanView<'_>) -> String {
    let plan = view.plan;
    if plan.denied().next().is_some() {
        return "deal with the hazards marked `denied`, then plan again".to_owned();
    }
    if view.approvals.len() < view.required as usize {
        let short = plan.fingerprint.short();
        return format!("zdmig approve {} --fingerprint {short}", plan.migration);
    }
    format!("zdmig expand {}", plan.migration)
}

/// How it was rehearsed, who approved it and how many are still to, in a line each.
fn approved(view: &PlanView<'_>) -> Vec<String> {
    let mut lines: Vec<_> = view.rehearsed.iter().cloned().collect();
    lines.extend(view.approvals.iter().map(|one| format!("approved by {one}")));
    let lacks = (view.required as usize).saturating_sub(view.approvals.len());
    if lacks > 0 {
        lines.push(format!("{} still to be given", counted(lacks as u64, "approval")));
    }
    lines
}
