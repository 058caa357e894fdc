//! What hangs on a column that another one stands in for, and where it is afterwards.

use super::{Action, Plan, TakenOver};

/// One thing that hung on what goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// What it is: `index`, `unique constraint`, `privilege`.
    pub kind: &'static str,
    /// Its name, or what it says.
    pub name: String,
    /// Whether it is there afterwards, under its own name; else it goes with the column.
    pub stays: bool,
}

impl Plan {
    /// Everything that hangs on what this plan replaces or takes away, in the order of its steps.
    pub fn dependents(&self) -> Vec<Dependent> {
        let mut found: Vec<Dependent> = Vec::new();
        for step in &self.steps {
            let more = match &step.action {
                Action::AddColumn(one) => one.grants().iter().map(privilege).collect(),
                Action::Swap(swap) => {
                    let indexes = swap.indexes.iter().map(|one| stays("index", &one.name));
                    let rules = swap.constraints.iter().map(|one| stays("constraint", &one.name));
                    let kept = swap.statistics.iter().map(|one| stays("statistics", &one.name));
                    indexes.chain(rules).chain(kept).collect()
                }
                Action::DropColumn(drop) => {
                    let over: Vec<_> = drop.renames.iter().map(taken_over).collect();
                    let lost = drop.loses.iter().map(|name| Dependent {
                        kind: "index",
                        name: name.to_string(),
                        stays: false,
                    });
                    let named = |one: &Dependent| over.iter().any(|kept| kept.name == one.name);
                    let lost: Vec<_> = lost.filter(|one| !named(one)).collect();
                    over.into_iter().chain(lost).collect()
                }
                _ => Vec::new(),
            };
            let new: Vec<_> = more.into_iter().filter(|one| !found.contains(one)).collect();
            found.extend(new);
        }
        found
    }
}

fn stays(kind: &'static str, name: &impl ToString) -> Dependent {
    Dependent { kind, name: name.to_string(), stays: true }
}

fn privilege(grant: &crate::catalog::Grant) -> Dependent {
    let role = grant.role.as_ref().map_or("everybody".to_owned(), ToString::to_string);
    stays("privilege", &format!("{} for {role}", grant.privilege))
}

fn taken_over(one: &TakenOver) -> Dependent {
    match one {
        TakenOver::Index { to, .. } => stays("index", to),
        TakenOver::UniqueConstraint { to, .. } => stays("unique constraint", to),
        TakenOver::Constraint { to, .. } => stays("constraint", to),
        TakenOver::Statistics { object, .. } => stays("statistics", &object.name),
        TakenOver::Default { column, .. } => stays("default", &format!("of {column}")),
    }
}
