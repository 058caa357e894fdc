//! What a person answers for where the gate does not pass. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use thiserror::Error;

use super::verdict::{Permit, Reason, Verdict};
use crate::journal::Overruled;
use crate::plan::{Fingerprint, Phase, Plan};

/// Reasons that nobody can answer for: what would break is in the database itself, or is lost.
const NEVER: [&str; 3] = ["E_DEPENDENT", "E_CDC", "E_BACKFILL"];

/// What a verdict is about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its phase.
    pub phase: Phase,
    /// The environment.
    pub env: &'a str,
    /// When the evidence was gathered, by the database's clock.
    pub at: DateTime<Utc>,
}

/// Names one verdict: when it was given, and a hash of what was asked and of each reason's code and
/// subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct VerdictId(String);

/// That somebody wants to go on all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The verdict that was looked at.
    pub verdict: String,
    /// The codes of its reasons.
    pub codes: Vec<String>,
    /// Why.
    pub reason: String,
    /// Where it was decided.
    pub ticket: String,
}

/// Why an override does not hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OverrideError {
    /// Nobody can answer for that.
    #[error("nobody can answer for {0}: {1}")]
    Never(&'static str, String),
    /// It says nothing.
    #[error("an override needs a {0} that says something")]
    Silent(&'static str),
    /// It names no verdict of ours.
    #[error("`{0}` is no verdict of zdmig")]
    NoVerdict(String),
    /// The verdict is of another time.
    #[error("the verdict `{0}` has expired: an override is good for {1}")]
    Expired(String, String),
    /// The verdict was used before.
    #[error("the verdict `{0}` was overridden before, and an override is good for one time")]
    Used(String),
    /// What speaks against it is not what it was.
    #[error("what the gate says has changed since the verdict `{0}`")]
    Changed(String),
    /// The codes are not those of the reasons.
    #[error("the reasons are {reasons}, and the override names {named}")]
    Codes {
        /// Those of the verdict.
        reasons: String,
        /// Those that were named.
        named: String,
    },
}

impl VerdictId {
    /// The name of what was answered.
    pub fn of(asked: &Asked<'_>, reasons: &[Reason]) -> Self {
        let what: BTreeSet<(&str, &str)> =
            reasons.iter().map(|one| (one.code, one.subject.as_str())).collect();
        let plan = &asked.plan.fingerprint;
        let hash = Fingerprint::of(&(plan, asked.phase, asked.env, what));
        Self(format!("v{:x}-{}", asked.at.timestamp(), hash.short()))
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was given, and its hash.
    fn parts(text: &str) -> Option<(DateTime<Utc>, &str)> {
        let (time, hash) = text.strip_prefix('v')?.split_once('-')?;
        let seconds = i64::from_str_radix(time, 16).ok()?;
        // In one way only, so that one that was used cannot come back in another.
        if format!("{seconds:x}") != time {
            return None;
        }
        let time = DateTime::from_timestamp(seconds, 0)?;
        Some((time, hash))
    }
}

impl Reason {
    /// Whether a person may answer for it.
    pub fn overridable(&self) -> bool {
        !NEVER.contains(&self.code)
    }
}

/// Turns a verdict into a permit, where somebody who has seen it answers for all of it. `used` are the
/// verdicts that were overridden before, `ttl` is for how long one is good.
///
/// # Errors
/// When a reason cannot be overridden, or the override is not of this verdict.
pub fn overrule(
    asked: &Asked<'_>,
    verdict: &Verdict,
    evidence: &Fingerprint,
    wish: &Override,
    ttl: Duration,
    used: &[&str],
) -> Result<Permit, OverrideError> {
    let reasons = verdict.reasons();
    if let Some(never) = reasons.iter().find(|one| !one.overridable()) {
        return Err(OverrideError::Never(never.code, never.message.clone()));
    }
    for (text, name) in [(&wish.reason, "reason"), (&wish.ticket, "ticket")] {
        if text.trim().is_empty() {
            return Err(OverrideError::Silent(name));
        }
    }
    let id = wish.verdict.as_str();
    let no_verdict = || OverrideError::NoVerdict(id.to_owned());
    let (given, hash) = VerdictId::parts(id).ok_or_else(no_verdict)?;
    // A second more, because the name has whole seconds.
    let age = (asked.at - given).abs().to_std().unwrap_or(Duration::MAX);
    if age > ttl + Duration::from_secs(1) {
        let good = humantime::format_duration(ttl).to_string();
        return Err(OverrideError::Expired(id.to_owned(), good));
    }
    if used.contains(&id) {
        return Err(OverrideError::Used(id.to_owned()));
    }
    let now = VerdictId::of(asked, reasons);
    if VerdictId::parts(now.as_str()).is_none_or(|(_, now)| now != hash) {
        return Err(OverrideError::Changed(id.to_owned()));
    }
    let codes: BTreeSet<&str> = reasons.iter().map(|one| one.code).collect();
    let named: BTreeSet<&str> = wish.codes.iter().map(|one| one.trim()).collect();
    if codes != named {
        let list = |codes: BTreeSet<&str>| codes.into_iter().collect::<Vec<_>>().join(", ");
        return Err(OverrideError::Codes { reasons: list(codes), named: list(named) });
    }
    let overruled = Overruled {
        verdict: id.to_owned(),
        reason: wish.reason.trim().to_owned(),
        ticket: wish.ticket.trim().to_owned(),
        reasons: reasons.iter().map(|one| format!("{} {}", one.code, one.message)).collect(),
    };
    Ok(Permit::new(asked.plan.fingerprint.clone(), evidence.clone()).answered_for(overruled))
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::plan;
    use super::super::verdict::Severity;
    use super::*;

    const TTL: Duration = Duration::from_mins(10);

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn verdict(codes: &[(&'static str, &str)]) -> Verdict {
        let reasons = codes
            .iter()
            .map(|(code, subject)| Reason {
                code,
                severity: Severity::Refuse,
                subject: (*subject).to_owned(),
                message: format!("{subject} is in the way"),
                remedy: String::new(),
            })
            .collect();
        Verdict::Refuse { reasons, versions: Vec::new() }
    }

    fn wish(verdict: &str, codes: &[&str]) -> Override {
        Override {
            verdict: verdict.into(),
            codes: codes.iter().map(|one| (*one).to_owned()).collect(),
            reason: "it is a test instance".into(),
            ticket: "OPS-1".into(),
        }
    }

    #[test]
    fn an_override_is_of_one_verdict_all_its_reasons_and_a_short_time() {
        let plan = plan();
        let then = Asked {
            plan: &plan,
            phase: Phase::Contract,
            env: "production",
            at: at("2026-11-23T12:00:00Z"),
        };
        let seen = verdict(&[("E_VERSION_USES", "api@1"), ("U_UNMAPPED_ROLE", "etl")]);
        let id = VerdictId::of(&then, seen.reasons());
        let id = id.as_str();
        let both = ["U_UNMAPPED_ROLE", "E_VERSION_USES"];
        let now = Asked { at: at("2026-11-23T12:05:00Z"), ..then };
        let evidence = Fingerprint::stored("e");
        let tried = |asked: &Asked<'_>, verdict: &Verdict, wish: &Override, used: &[&str]| {
            overrule(asked, verdict, &evidence, wish, TTL, used)
        };

        let permit = tried(&now, &seen, &wish(id, &both), &[]).expect("an override");
        let kept = permit.overruled().expect("what was overruled");
        assert_eq!(
            kept.reasons,
            ["E_VERSION_USES api@1 is in the way", "U_UNMAPPED_ROLE etl is in the way"]
        );

        let refused = |asked: &Asked<'_>, verdict: &Verdict, wish: &Override, used: &[&str]| {
            tried(asked, verdict, wish, used).expect_err("no override").to_string()
        };
        let text = refused(&now, &seen, &wish(id, &["E_VERSION_USES"]), &[]);
        assert!(text.contains("the reasons are E_VERSION_USES, U_UNMAPPED_ROLE"), "{text}");
        let more = ["E_VERSION_USES", "U_UNMAPPED_ROLE", "U_GAP"];
        assert!(
            refused(&now, &seen, &wish(id, &more), &[]).contains("names E_VERSION_USES, U_GAP")
        );
        assert!(refused(&now, &seen, &wish(id, &both), &[id]).contains("before"));
        assert!(refused(&now, &seen, &wish("yes", &both), &[]).contains("no verdict"));
        let late = Asked { at: at("2026-11-23T12:11:00Z"), ..then };
        assert!(refused(&late, &seen, &wish(id, &both), &[]).contains("expired"));
        let early = Asked { at: at("2026-11-23T11:40:00Z"), ..then };
        assert!(refused(&early, &seen, &wish(id, &both), &[]).contains("expired"));
        let other = verdict(&[("E_VERSION_USES", "api@0"), ("U_UNMAPPED_ROLE", "etl")]);
        assert!(refused(&now, &other, &wish(id, &both), &[]).contains("changed"));
        let purge = Asked { phase: Phase::Purge, ..now };
        assert!(refused(&purge, &seen, &wish(id, &both), &[]).contains("changed"));
        let mut dumb = wish(id, &both);
        dumb.ticket = " ".into();
        assert!(refused(&now, &seen, &dumb, &[]).contains("a ticket"));
        for never in NEVER {
            let seen = verdict(&[(never, "")]);
            let id = VerdictId::of(&then, seen.reasons());
            assert!(refused(&now, &seen, &wish(id.as_str(), &[never]), &[]).contains("nobody"));
        }
    }
}
