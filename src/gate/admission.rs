//! May a version start here? The other side of the gate. Pure.

use super::usage::{Hit, Usage};
use super::verdict::{Reason, Severity};
use crate::plan::Plan;
use crate::sql::{ColumnRef, TableName};

/// A version that wants to start.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// The service.
    pub service: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What it uses, as it was published.
    pub usages: &'a [&'a Usage],
    /// Plans that take something away, or did.
    pub taken: &'a [&'a Plan],
    /// Columns that are not filled yet, with the migration that fills them.
    pub filling: &'a [(&'a Plan, ColumnRef)],
    /// Tables and columns that it names and the database does not have.
    pub missing: &'a [String],
}

/// What speaks against it; nothing where it may start.
pub fn admit(newcomer: &Newcomer<'_>) -> Vec<Reason> {
    let named = format!("{}@{}", newcomer.service, newcomer.version);
    let mut reasons = Vec::new();
    let mut add = |code, severity, message: String, remedy: String| {
        let subject = named.clone();
        reasons.push(Reason { code, severity, subject, message, remedy });
    };
    if newcomer.usages.is_empty() {
        let remedy = "publish its manifest with `zdmig usage publish`, then ask again";
        let message = format!("nothing says what {named} uses");
        add("U_NO_USAGE", Severity::Unknown, message, remedy.into());
    }
    for usage in newcomer.usages {
        if !usage.complete {
            let message = format!("the manifest of {named} does not say that it is complete");
            let remedy = "set `\"complete\": true` once it lists everything";
            add("U_INCOMPLETE", Severity::Unknown, message, remedy.into());
        }
        for plan in newcomer.taken {
            for target in &plan.requirement.targets {
                let shown = target.shown();
                let migration = &plan.migration;
                let back = format!(
                    "deploy a version that does without it, or while it is kept: zdmig restore {migration}"
                );
                match usage.hit(target) {
                    Hit::None => {}
                    Hit::Uses(how) => {
                        let message =
                            format!("{named} {how}: `{shown}`, which {migration} takes away");
                        add("E_FENCED", Severity::Refuse, message, back);
                    }
                    Hit::Unsaid(why) => {
                        let words = target.ends.words();
                        let message = format!(
                            "{named} {words} `{shown}` for all we know, and {migration} ends that: {why}"
                        );
                        let remedy = "publish a manifest that says it";
                        add("U_UNSAID", Severity::Unknown, message, remedy.into());
                    }
                }
                for one in usage.suspects(target) {
                    let message = format!(
                        "{named} has a query at {} that could not be read and may name `{shown}`",
                        one.at
                    );
                    let remedy = "look at it, and write a `waiver` beside it if it is no danger";
                    add("U_DYNAMIC_SQL", Severity::Unknown, message, remedy.into());
                }
            }
        }
        for (plan, column) in newcomer.filling.iter().filter(|(_, one)| usage.reads(one)) {
            let migration = &plan.migration;
            let message = format!("{named} reads `{column}`, which {migration} has not filled yet");
            add("E_BACKFILL", Severity::Refuse, message, format!("zdmig backfill {migration}"));
        }
    }
    for missing in newcomer.missing {
        let message = format!("{named} names {missing}, which is not in this database");
        let remedy = "expand the migration that makes it first: zdmig expand";
        add("E_SCHEMA", Severity::Refuse, message, remedy.into());
    }
    reasons.sort_by_key(|reason| reason.severity);
    reasons
}

impl Usage {
    /// Whether it reads a column by its name.
    fn reads(&self, column: &ColumnRef) -> bool {
        self.items.iter().any(|item| {
            let table = TableName::from(item.table.clone());
            table.name == column.table.name
                && (table.schema.is_none() || table.schema == column.table.schema)
                && item.read.iter().any(|one| one.eq_ignore_ascii_case(column.column.as_str()))
        })
    }
}
