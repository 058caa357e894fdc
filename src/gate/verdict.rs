use serde::Serialize;

use super::evidence::State;
use crate::journal::Overruled;
use crate::plan::Fingerprint;

/// The gate's answer.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing that can still run uses what would go.
    Pass {
        /// Lets the engine go on.
        permit: Permit,
        /// What was found for each version.
        versions: Vec<VersionLine>,
    },
    /// At least one fact speaks against it.
    Refuse {
        /// Those facts, and what is not known beside them.
        reasons: Vec<Reason>,
        /// What was found for each version.
        versions: Vec<VersionLine>,
    },
    /// No fact speaks against it, but something is missing.
    Unknown {
        /// What is missing.
        reasons: Vec<Reason>,
        /// What was found for each version.
        versions: Vec<VersionLine>,
    },
}

/// The right to run one phase of one plan, on this evidence. Only the gate makes one, and
/// the engine takes it by value.
#[derive(Debug)]
pub struct Permit {
    plan: Fingerprint,
    evidence: Fingerprint,
    overruled: Option<Overruled>,
}

impl Permit {
    pub(super) fn new(plan: Fingerprint, evidence: Fingerprint) -> Self {
        Self { plan, evidence, overruled: None }
    }

    /// The same, on a person's word.
    pub(super) fn answered_for(self, overruled: Overruled) -> Self {
        Self { overruled: Some(overruled), ..self }
    }

    /// The plan it is for.
    pub fn plan(&self) -> &Fingerprint {
        &self.plan
    }

    /// The evidence it rests on.
    pub fn evidence(&self) -> &Fingerprint {
        &self.evidence
    }

    /// What a person answered for.
    pub fn overruled(&self) -> Option<&Overruled> {
        self.overruled.as_ref()
    }
}

/// One thing that speaks against a PASS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A stable name.
    pub code: &'static str,
    /// Whether it is a fact or a gap.
    pub severity: Severity,
    /// Whom or what it is about: a version, a role, a function. It stays the same from one look to
    /// the next, where the message may not.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Whether a reason is a fact or a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A fact.
    Refuse,
    /// A gap.
    Unknown,
}

/// What was found for one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionLine {
    /// The service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// How it was seen, the strongest.
    pub state: State,
    /// Where it was seen.
    pub source: String,
    /// What it does with the target: `-`, `reads it`, `?`.
    pub uses: String,
}

impl Verdict {
    /// PASS, REFUSE or UNKNOWN.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass { .. } => "PASS",
            Self::Refuse { .. } => "REFUSE",
            Self::Unknown { .. } => "UNKNOWN",
        }
    }

    /// What speaks against a PASS.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Pass { .. } => &[],
            Self::Refuse { reasons, .. } | Self::Unknown { reasons, .. } => reasons,
        }
    }

    /// What was found for each version.
    pub fn versions(&self) -> &[VersionLine] {
        match self {
            Self::Pass { versions, .. }
            | Self::Refuse { versions, .. }
            | Self::Unknown { versions, .. } => versions,
        }
    }
}
