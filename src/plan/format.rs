//! The plan file. What is printed as JSON, approved, stored in the journal and executed is
//! this one format; `docs/plan-format.md` describes it.

use thiserror::Error;

use super::{Fingerprint, Plan};

/// The version of the plan format that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// Why a text is no plan that can be run.
#[derive(Debug, Error)]
pub enum FormatError {
    /// It is no JSON of ours.
    #[error("this is not a plan of zdmig: {0}")]
    NotAPlan(#[from] serde_json::Error),
    /// It was written by a newer program.
    #[error("this plan has format {found}, and this zdmig reads up to {FORMAT}: use a newer zdmig")]
    TooNew {
        /// The format it says it has.
        found: u32,
    },
    /// It was changed after it was made.
    #[error("this plan was changed after it was made: its fingerprint no longer fits")]
    Tampered,
}

impl Plan {
    /// The plan as a file: JSON, the same bytes every time.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a plan file and checks that nobody changed it.
    ///
    /// # Errors
    /// When it is no plan, is from a newer program, or was edited.
    pub fn from_json(text: &str) -> Result<Self, FormatError> {
        #[derive(serde::Deserialize)]
        struct Head {
            zdmig_plan: u32,
        }
        let head: Head = serde_json::from_str(text)?;
        if head.zdmig_plan > FORMAT {
            return Err(FormatError::TooNew { found: head.zdmig_plan });
        }
        let plan: Self = serde_json::from_str(text)?;
        if plan.clone().sealed().fingerprint != plan.fingerprint {
            return Err(FormatError::Tampered);
        }
        Ok(plan)
    }

    /// The plan with the fingerprint of what it says. Estimates are left out of it: they
    /// change with every row, and an approval must not.
    #[must_use]
    pub fn sealed(self) -> Self {
        let mut bare = self.clone();
        bare.fingerprint = Fingerprint::stored("");
        for step in &mut bare.steps {
            step.estimate = None;
        }
        for premise in &mut bare.premises {
            premise.estimate = None;
        }
        Self { fingerprint: Fingerprint::of(&bare), ..self }
    }
}
