//! What ran: it can show that something is used, and never by itself that nothing is. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::judge::Bench;
use super::policy::{Consumer, GatePolicy};
use super::usage::{Reader, Way};
use crate::dialect::{Counted, Observation, StatementLog};
use crate::plan::{Target, Use};
use crate::sql::without_values;

/// So much of a statement is shown.
const SHOWN: usize = 200;

/// What ran on one server since a window was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The server.
    pub node: String,
    /// Since when.
    pub from: DateTime<Utc>,
    /// Until when.
    pub to: DateTime<Utc>,
    /// Why it may not show everything that ran.
    pub flaws: Vec<String>,
    /// Roles that ran something.
    pub roles: BTreeSet<String>,
    /// Statements that use a target.
    pub uses: Vec<Ran>,
    /// Statements that may, for all we know.
    pub unread: Vec<Ran>,
}

/// A statement that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Who ran it.
    pub role: String,
    /// How often in the window.
    pub calls: i64,
    /// Its beginning.
    pub statement: String,
    /// What it does with which target, or why that is not known.
    pub how: String,
}

impl Ran {
    fn who(&self) -> String {
        match self.role.as_str() {
            "" => "somebody".into(),
            role => format!("role `{role}`"),
        }
    }
}

impl Window {
    /// One that shows nothing, because of that.
    pub fn blind(node: &str, since: DateTime<Utc>, why: impl Into<String>) -> Self {
        Self {
            node: node.to_owned(),
            from: since,
            to: since,
            flaws: vec![why.into()],
            roles: BTreeSet::new(),
            uses: Vec::new(),
            unread: Vec::new(),
        }
    }
}

/// What ran between two looks at a server's statements.
pub fn window(
    begun: &Observation,
    now: &StatementLog,
    targets: &[Target],
    reader: &mut Reader<'_>,
) -> Window {
    let mut flaws = now.flaws.clone();
    let counted: BTreeMap<&str, i64> =
        now.counted.iter().map(|one| (one.key.as_str(), one.calls)).collect();
    // Indexes come and go.
    let mut statements = begun.calls.iter().filter(|(key, _)| !key.starts_with("index/"));
    let gone =
        statements.any(|(key, calls)| counted.get(key.as_str()).is_none_or(|now| now < calls));
    if now.reset != begun.reset {
        flaws.push("the server has begun to count anew since: a reset, or a crash".into());
    } else if now.lost != begun.lost {
        let lost = now.lost - begun.lost;
        flaws.push(format!(
            "statements had to make room for others {lost} times: raise pg_stat_statements.max"
        ));
    } else if gone {
        flaws.push("statements that were there have gone: somebody reset a part of it".into());
    }
    let mut window = Window {
        node: begun.node.clone(),
        from: begun.since,
        to: now.at,
        flaws,
        roles: BTreeSet::new(),
        uses: Vec::new(),
        unread: Vec::new(),
    };
    for one in &now.counted {
        let calls = one.calls - begun.calls.get(&one.key).copied().unwrap_or(0);
        if calls <= 0 || one.role == now.own {
            continue;
        }
        if let Some((index, column)) = &one.index {
            let of = |target: &&Target| target.ends == Use::Any && target.column == *column;
            // Most of those who scan it look for the column; some only count rows by it.
            window.unread.extend(targets.iter().filter(of).map(|target| Ran {
                role: String::new(),
                calls,
                statement: format!("a scan of the index `{index}`"),
                how: format!("it begins with `{}`", target.shown()),
            }));
            continue;
        }
        window.roles.insert(one.role.clone());
        let (uses, unread) = read(one, calls, targets, reader);
        window.uses.extend(uses);
        window.unread.extend(unread);
    }
    window
}

/// What one statement does with the targets: known uses, and what could not be read.
fn read(
    one: &Counted,
    calls: i64,
    targets: &[Target],
    reader: &mut Reader<'_>,
) -> (Vec<Ran>, Vec<Ran>) {
    let (mut uses, mut unread) = (Vec::new(), Vec::new());
    for target in targets.iter().filter(|target| target.ends == Use::Any) {
        let explained = reader.explain(&one.text, &target.column);
        let ran =
            |how: String| Ran { role: one.role.clone(), calls, statement: shown(&one.text), how };
        if let Some(way) = explained.ways.keys().next() {
            uses.push(ran(format!("{} `{}`", does(*way), target.shown())));
        } else if let Some(why) = explained.unresolved {
            unread.push(ran(why));
        }
    }
    (uses, unread)
}

/// What sessions run that uses a target.
pub fn sample(running: &[Counted], targets: &[Target], reader: &mut Reader<'_>) -> Vec<Ran> {
    // What could not be read here is no gap: a look at a moment shows nothing by its silence.
    running.iter().flat_map(|one| read(one, one.calls, targets, reader).0).collect()
}

fn does(way: Way) -> &'static str {
    match way {
        Way::Read => "reads",
        Way::Write => "writes",
        Way::Star => "reads with `*`",
        Way::Positional => "counts by place the columns with",
        Way::WholeRow => "takes whole rows with",
        Way::Rebind => "would mean something else without",
    }
}

fn shown(text: &str) -> String {
    let line = without_values(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN {
        return line;
    }
    line.chars().take(SHOWN).chain(['…']).collect()
}

/// Whether what ran stands in for a manifest: everything of a consumer was seen for long enough.
pub(super) fn observed(consumer: &Consumer, windows: &[Window], policy: &GatePolicy) -> bool {
    consumer.observed && gaps(consumer, windows, policy).is_empty()
}

/// Why it does not.
fn gaps(consumer: &Consumer, windows: &[Window], policy: &GatePolicy) -> Vec<String> {
    // A tenth more, because nothing runs to the second.
    let period = consumer.period.map(|period| period + period / 10).unwrap_or_default();
    let mut gaps = missed(windows, policy.min_observation.max(period));
    let ran = consumer.roles.iter().any(|role| windows.iter().any(|one| one.roles.contains(role)));
    if !windows.is_empty() && !ran {
        gaps.push(format!("none of its roles ({}) ran anything", consumer.roles.join(", ")));
    }
    gaps
}

/// What windows may have missed, where they must be so long.
fn missed(windows: &[Window], wanted: Duration) -> Vec<String> {
    if windows.is_empty() {
        return vec!["no window is open".into()];
    }
    let mut missed: Vec<String> = windows
        .iter()
        .flat_map(|one| one.flaws.iter().map(|flaw| format!("on {}: {flaw}", one.node)))
        .collect();
    let short = windows.iter().filter_map(|one| (one.to - one.from).to_std().ok()).min();
    if let Some(short) = short.filter(|short| *short < wanted) {
        missed.push(format!("the window is {} long, and {} are wanted", time(short), time(wanted)));
    }
    missed
}

fn time(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

impl Bench {
    /// What sessions run as we look. That a version runs what it is known to use is no news.
    pub(super) fn sampled(&mut self, sampled: &[Ran], policy: &GatePolicy) {
        for one in sampled {
            let Ran { role, statement, how, .. } = one;
            let mut of = policy.consumers.iter().filter(|consumer| consumer.roles.contains(role));
            if of.any(|consumer| self.has("E_VERSION_USES", &format!("{}@", consumer.name))) {
                continue;
            }
            self.refuse(
                "E_OBSERVED",
                &format!("{role}: {statement}"),
                format!(
                    "a session of role `{role}` runs, or ran a moment ago, what {how}: {statement}"
                ),
                "find who that is, and wait until a minute after its last statement".into(),
            );
        }
    }

    /// What ran since the windows were opened.
    pub(super) fn runtime(&mut self, windows: &[Window], policy: &GatePolicy) {
        for window in windows {
            let since = window.from.format("%Y-%m-%d %H:%M UTC");
            for one in &window.uses {
                let Ran { role, calls, statement, how } = one;
                let who = one.who();
                self.refuse(
                    "E_OBSERVED",
                    &format!("{role}: {statement}"),
                    format!(
                        "{who} ran on {}, {calls} times since {since}, what {how}: {statement}",
                        window.node
                    ),
                    "find who that is; once it runs no more: zdmig observe start".into(),
                );
            }
            for one in &window.unread {
                let Ran { role, calls, statement, how } = one;
                let who = one.who();
                self.unknown(
                    "U_UNPARSED",
                    &format!("{role}: {statement}"),
                    format!(
                        "{who} ran on {}, {calls} times since {since}, what may use it ({how}): {statement}",
                        window.node
                    ),
                    "look at it; once it runs no more: zdmig observe start".into(),
                );
            }
        }
        for consumer in policy.consumers.iter().filter(|one| one.observed) {
            for gap in gaps(consumer, windows, policy) {
                self.unknown(
                    "U_COVERAGE",
                    &format!("{} {}", consumer.name, without_values(&gap)),
                    format!(
                        "what `{}` uses is known only from what it ran, and {gap}",
                        consumer.name
                    ),
                    "zdmig observe status; zdmig doctor says what to change".into(),
                );
            }
        }
        if !policy.require_window {
            return;
        }
        for gap in missed(windows, policy.min_observation) {
            self.unknown(
                "U_COVERAGE",
                &without_values(&gap),
                format!("`require_window` is set, and {gap}"),
                "zdmig observe start, and wait; zdmig doctor says what to change".into(),
            );
        }
    }
}
