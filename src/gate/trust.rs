//! How much a verdict's answer to "what can run?" rests on. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::evidence::{By, Evidence, Seen};

/// A grade, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Trust {
    /// Two who do not know each other say what runs, and what really ran was watched throughout, or a
    /// brownout passed.
    A,
    /// Somebody who sees it says what runs.
    B,
    /// Of some version nobody but a record says that it runs.
    C,
}

impl Trust {
    /// Of this evidence; `browned` is whether a brownout of it passed.
    pub fn of(evidence: &Evidence, browned: bool) -> Self {
        let eyes = |seen: &Seen| {
            let kinds: BTreeSet<By> = seen.sights.iter().map(|one| one.by).collect();
            kinds.into_iter().filter(|by| *by != By::Record).count()
        };
        let fewest = evidence.seen.iter().map(eyes).min().unwrap_or(0);
        let whole = |windows: &[super::Window]| {
            !windows.is_empty() && windows.iter().all(|one| one.flaws.is_empty())
        };
        match fewest {
            0 => Self::C,
            1 => Self::B,
            _ if browned || whole(&evidence.windows) => Self::A,
            _ => Self::B,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{Sight, State};
    use super::*;

    #[test]
    fn records_alone_are_worth_least_and_agreement_most() {
        let seen = |kinds: &[By]| Seen {
            service: "api".into(),
            version: "1".into(),
            sights: kinds
                .iter()
                .map(|by| Sight { state: State::Live, by: *by, how: String::new() })
                .collect(),
        };
        let of = |all: &[&[By]], browned| {
            let seen = all.iter().map(|kinds| seen(kinds)).collect();
            Trust::of(&Evidence { seen, ..Evidence::default() }, browned)
        };
        assert_eq!(of(&[], true), Trust::C);
        assert_eq!(of(&[&[By::Record, By::Source], &[By::Record]], true), Trust::C);
        assert_eq!(of(&[&[By::Record, By::Source]], true), Trust::B);
        assert_eq!(of(&[&[By::Heartbeat, By::Source]], false), Trust::B);
        assert_eq!(of(&[&[By::Heartbeat, By::Source]], true), Trust::A);
    }
}
