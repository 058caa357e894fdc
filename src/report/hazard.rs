use crate::plan::{HazardCard, Severity};

/// The page of a hazard, as `docs/hazards/<code>.md` holds it.
pub fn hazard_page(card: &HazardCard) -> String {
    let severity = match card.severity {
        Severity::Hint => {
            "A hint, which `zdmig check -v` shows. It harms nobody today and is dear to change later."
        }
        Severity::Warn => "A warning: it is shown, and stops nothing.",
        Severity::Deny => "Denied: the plan is refused unless the file allows it with a reason.",
    };
    format!(
        "# {code}\n\n{severity}\n\n**When:** {condition}.\n\n**What happens:** {effect}.\n\n\
         **What to do:** {remedy}.\n\nTo allow it, write into the migration:\n\n\
         ```sql\n-- zdmig:allow {code} because \"the reason\"\n```\n",
        code = card.code,
        condition = card.condition,
        effect = card.effect,
        remedy = card.remedy,
    )
}
