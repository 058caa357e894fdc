//! What two plans of one migration do differently, step by step.

use super::{Phase, Plan, Step};

/// How a plan differs from one that was seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A step that was not there.
    Added(String),
    /// A step that is not there any more.
    Removed(String),
    /// A step that does the same in another way: what of it, before and after.
    Changed {
        /// Its phase and slug.
        step: String,
        /// What of it.
        what: &'static str,
        /// What it was.
        before: Vec<String>,
        /// What it is.
        after: Vec<String>,
    },
    /// The same steps, in another order.
    Reordered(Phase),
    /// Something that is no step.
    Beside(&'static str),
}

impl Plan {
    /// What this plan does differently from one before it; nothing where their fingerprints are
    /// the same.
    pub fn difference(&self, before: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        if self.fingerprint == before.fingerprint {
            return found;
        }
        for phase in Phase::ALL {
            let (old, new): (Vec<&Step>, Vec<&Step>) =
                (before.phase(phase).collect(), self.phase(phase).collect());
            for step in &old {
                match new.iter().find(|one| one.id == step.id) {
                    None => found.push(Difference::Removed(name(step))),
                    Some(now) => changed(step, now, &mut found),
                }
            }
            let fresh = new.iter().filter(|step| old.iter().all(|one| one.id != step.id));
            found.extend(fresh.map(|step| Difference::Added(name(step))));
            let order = |some: &[&Step], others: &[&Step]| -> Vec<_> {
                let both = some.iter().filter(|step| others.iter().any(|one| one.id == step.id));
                both.map(|step| step.id.clone()).collect()
            };
            if order(&old, &new) != order(&new, &old) {
                found.push(Difference::Reordered(phase));
            }
        }
        let beside = [
            ("the file's text", self.checksum != before.checksum),
            ("what is asked before anything", !same_premises(self, before)),
            ("what the gate will ask", self.requirement != before.requirement),
            ("the hazards", self.hazards != before.hazards),
            ("what the tables must look like before", self.expects != before.expects),
            ("the product", self.product != before.product),
        ];
        found.extend(
            beside.into_iter().filter(|(_, differs)| *differs).map(|one| Difference::Beside(one.0)),
        );
        if found.is_empty() {
            found.push(Difference::Beside("what it touches"));
        }
        found
    }
}

fn same_premises(one: &Plan, other: &Plan) -> bool {
    let bare = |plan: &Plan| -> Vec<_> {
        plan.premises.iter().map(|one| (one.verify.clone(), one.check.clone())).collect()
    };
    bare(one) == bare(other)
}

fn name(step: &Step) -> String {
    format!("{}/{}", step.phase, step.id.slug())
}

fn changed(old: &Step, new: &Step, found: &mut Vec<Difference>) {
    let shown = |step: &Step| -> [(&'static str, Vec<String>); 3] {
        let sql = |sql: &[crate::sql::Sql]| sql.iter().map(ToString::to_string).collect();
        let locks = step.lowered.locks.iter();
        let lock =
            |lock: &super::Lock| format!("{} on {}, {}", lock.mode, lock.object, lock.held.words());
        [
            ("statements", sql(&step.lowered.sql)),
            ("locks", locks.map(lock).collect()),
            ("undo", step.lowered.undo.statements().map(ToString::to_string).collect()),
        ]
    };
    let mut any = false;
    for ((what, before), (_, after)) in shown(old).into_iter().zip(shown(new)) {
        if before != after {
            any = true;
            found.push(Difference::Changed { step: name(new), what, before, after });
        }
    }
    if !any && (&old.lowered, &old.action) != (&new.lowered, &new.action) {
        let (before, after) = (Vec::new(), Vec::new());
        found.push(Difference::Changed { step: name(new), what: "details", before, after });
    }
}
