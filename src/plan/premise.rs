use serde::{Deserialize, Serialize};

use super::{Check, Estimate, Lock, Verify};
use crate::sql::{Span, Sql};

/// What must be true of the rows that are there before anything is done, because a later
/// step could not be: asked once, when the plan is taken up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Premise {
    /// The statement that needs it.
    pub span: Span,
    /// What needs it, in a name of the author's.
    pub about: String,
    /// The rule.
    pub verify: Verify,
    /// What the file makes that the question needs: made for it, and taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Sql>,
    /// The question.
    pub check: Check,
    /// What it locks.
    pub locks: Vec<Lock>,
    /// How much there is to read; statistics, so not part of the fingerprint.
    pub estimate: Option<Estimate>,
}
